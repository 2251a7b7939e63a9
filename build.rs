//! The migrations are compiled into the program: one that is added or removed needs a new build.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
