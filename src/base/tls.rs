//! The cryptography of https, chosen once for the process.

/// Makes clients possible: reqwest brings none of its own. Fails only if the process has one already,
/// which will do as well.
pub fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
