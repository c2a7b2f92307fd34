//! How the shared object is linked on Linux: its build id, and that it stays in memory once loaded. scripts/lib.sh sets the SONAME.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    // nodelete: thread-locals of ours outlive a dlclose, and so must the code that ends them.
    // A build id, whatever the linker's default: by it a debugger finds the debug file.
    for argument in ["-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now", "-Wl,--build-id=sha1"] {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
