//! The TLS provider, chosen once for the process.

/// Installs a provider, because reqwest is built without one. Fails only if the process has a provider
/// already, which then serves.
pub fn install() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
