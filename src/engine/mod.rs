//! The embedded engine: Inngest's stand-in on a loopback port.
