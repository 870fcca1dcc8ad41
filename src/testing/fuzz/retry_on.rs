//! Istio's `retryOn`.

use crate::layers::retry::RetryOn;

/// Input: a list.
///
/// What is read is written as a list that reads the same, and writes the same again; a refusal says why in one line.
///
/// # Panics
/// If one of these does not hold.
pub fn retry_on(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match RetryOn::envoy(text) {
        Ok(on) if on == RetryOn::default() => assert!(on.to_string().is_empty()),
        Ok(on) => {
            let shown = on.to_string();
            assert_eq!(RetryOn::envoy(&shown).as_ref(), Ok(&on), "{shown}");
            // The order does not matter, nor does saying it twice.
            let mut terms: Vec<_> = text.split(',').collect();
            terms.reverse();
            terms.extend(text.split(','));
            assert_eq!(RetryOn::envoy(&terms.join(",")), Ok(on), "{text:?}");
        }
        Err(why) => {
            let shown = why.to_string();
            assert!(!shown.is_empty() && !shown.contains(char::is_control));
        }
    }
}
