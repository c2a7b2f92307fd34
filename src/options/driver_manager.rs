//! Names that belong to a driver manager. They are in odbc.ini, file data sources and connection strings beside the
//! options, and are no mistake of the user: they are ignored without a warning.

/// unixODBC 2.3, iODBC 3.52, the driver manager of DataDirect and that of Microsoft.
const NAMES: &[&str] = &[
    // Trace of calls
    "Trace",
    "TraceAutoStop",
    "TraceDll",
    "TraceFile",
    "TraceLibrary",
    "TraceOptions",
    "TracePid",
    "ForceTrace",
    // Connection pool
    "CPProbe",
    "CPReuse",
    "CPTimeout",
    "CPTimeToLive",
    "Pooling",
    "PoolMaxSize",
    "PoolWaitTimeout",
    "RetryWait",
    // How a driver is loaded and called
    "DisableGetFunctions",
    "DMConnAttr",
    "DMEnvAttr",
    "DMStmtAttr",
    "DontDLClose",
    "ExFetchMapping",
    "Threading",
    "ThreadManager",
    // Text encodings
    "AppUnicodeType",
    "DriverUnicodeEncoding",
    "DriverUnicodeType",
    "FakeUnicode",
    "IANAAppCodePage",
    "IconvEncoding",
    "WideCharEncoding",
    // Registration of a driver (odbcinst.ini)
    "APILevel",
    "ConnectFunctions",
    "Driver32",
    "Driver64",
    "DriverODBCVer",
    "FileExtns",
    "FileUsage",
    "InstallDir",
    "Setup",
    "Setup64",
    "SQLLevel",
    "UsageCount",
    // Connection strings of applications
    "APP",
    "SAVEFILE",
    "WSID",
];

/// Whether `name` belongs to a driver manager, case-insensitive.
pub(super) fn owns(name: &str) -> bool {
    NAMES.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Options, table};

    #[test]
    fn names_of_driver_manager_are_no_options() {
        for name in NAMES {
            assert!(table::find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn name_of_driver_manager_causes_no_warning() {
        let text: String = NAMES.iter().map(|name| format!("{}=1;", name.to_lowercase())).collect();
        assert_eq!(Options::parse(&text).unwrap().warnings(), []);
    }
}
