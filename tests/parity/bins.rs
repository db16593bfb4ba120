//! PyTorch's files, both forms, against the same tensors as safetensors. `make_bins.py` made all of them.

use crate::fixture;
use glossa::models::weights::Weights;
use glossa::nn::source::TensorSource as _;

#[test]
fn both_forms_of_pytorchs_files_hold_what_safetensors_holds() {
    let open = |name: &str| Weights::open(&[fixture("bins").join(name)]).expect("weights");
    let same = open("same.safetensors");
    for name in ["new.bin", "old.bin", "wrapped.bin"] {
        let bin = open(name);
        let mut compared = 0;
        for tensor in same.names() {
            let right = same.tensor(&tensor).expect("tensor");
            let Ok(ours) = bin.tensor(&tensor) else {
                panic!("{name} has no {tensor}");
            };
            assert_eq!((ours.shape(), ours.dtype()), (right.shape(), right.dtype()), "{name}: {tensor}");
            assert_eq!(ours.to_f32(), right.to_f32(), "{name}: {tensor}");
            compared += 1;
        }
        // All but the integers.
        assert_eq!(compared, 10, "{name}");
    }
}
