//! How the shared object is linked: its SONAME, and that it stays in memory once loaded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let arguments: &[&str] = match system.as_str() {
        // nodelete: thread-locals of ours outlive a dlclose, and so must the code that ends them.
        "linux" => &["-Wl,-soname,libauthgrant.so.0", "-Wl,-z,nodelete", "-Wl,-z,relro", "-Wl,-z,now"],
        "macos" => &["-Wl,-install_name,@rpath/libauthgrant.0.dylib"],
        _ => &[],
    };
    for argument in arguments {
        println!("cargo::rustc-cdylib-link-arg={argument}");
    }
}
