//! Body wrappers over scripted frames.
