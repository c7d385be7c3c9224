//! Prints or checks the CRD manifests.
fn main() {}
