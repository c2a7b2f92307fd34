//! How the shared object is linked: its SONAME, its build id, and that it stays in memory once loaded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arguments: &[&str] = match system.as_str() {
        // nodelete: thread-locals of ours outlive a dlclose, and so must the code that ends them.
        // A build id, whatever the linker's default: by it a debugger finds the debug file.
        "linux" => &[
            "-Wl,-soname,libauthgrant.so.0",
            "-Wl,-z,nodelete",
            "-Wl,-z,relro",
            "-Wl,-z,now",
            "-Wl,--build-id=sha1",
        ],
        "macos" => &["-Wl,-install_name,@rpath/libauthgrant.0.dylib"],
        _ => &[],
    };
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
