//! Writes the logits of every position, for comparisons with other engines.
//!
//!     cargo run --release --example logits -- MODEL.gguf IDS.json OUT.f32
//!
//! IDS.json is a list of lists of token ids; OUT.f32 holds `[positions, vocab]` of each, one after
//! the other, little-endian f32.

use glossa::models::library::Library;
use glossa::nn::decoder::{CHUNK, Want};
use glossa::nn::runtime::{DeviceChoice, Runtime};
use glossa::tasks::writing::language::LanguageModel;
use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, ids, out] = &arguments[..] else {
        return Err("usage: logits MODEL.gguf IDS.json OUT.f32".into());
    };
    let texts: Vec<Vec<u32>> = serde_json::from_slice(&std::fs::read(ids)?)?;
    let entry = Library::find(None).resolve(Some(model), "chat")?;
    let runtime = Runtime::new(DeviceChoice::Cpu, None, None)?;
    let model = LanguageModel::load(&entry, &runtime, &mut |_| false)?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(out)?);
    for ids in texts {
        let mut cache = model.decoder().cache();
        for chunk in ids.chunks(CHUNK) {
            for logit in model.decoder().forward(&mut cache, chunk, Want::All)? {
                out.write_all(&logit.to_le_bytes())?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
