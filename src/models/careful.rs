//! Calls into a library that may panic on a damaged file: the panic becomes an error in words, and is not printed.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread expects panics, so that the program's hook need not print them.
pub fn is_quiet() -> bool {
    QUIET.get()
}

/// What `work` gives; a panic in it as its words.
pub fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let before = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(before);
    result.unwrap_or_else(|payload| {
        Err(format!("the tokenizer library gave up: {}", said(&*payload).chars().take(300).collect::<String>()))
    })
}

/// What a panic said.
pub fn said(payload: &(dyn std::any::Any + Send)) -> &str {
    let words = payload.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no reason given")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_becomes_words() {
        let result = super::caught::<()>(|| panic!("index {} of {}", 7, 3));
        assert!(result.unwrap_err().contains("index 7 of 3") && !super::is_quiet());
        assert_eq!(super::caught(|| Ok(5)), Ok(5));
    }
}
