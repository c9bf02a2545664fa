//! How the program asks for memory.

/// What glibc reads, once, at the start of a program.
#[cfg(all(unix, target_env = "gnu"))]
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts the program anew, as the same process, with one arena of memory for all threads, unless somebody has chosen their number already.
///
/// glibc gives each thread its own, and none gives back what another could use: of a gateway with 100,000 events held that is 4 MiB. The number can only be
/// set by the environment or by unsafe code. If the program cannot be started anew, it goes on as it is.
pub(super) fn use_one_arena() {
    #[cfg(all(unix, target_env = "gnu"))]
    if std::env::var_os(ARENAS).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        use std::os::unix::process::CommandExt as _;

        let mut arguments = std::env::args_os();
        let mut anew = std::process::Command::new(program);
        if let Some(name) = arguments.next() {
            anew.arg0(name);
        }
        // It comes back only with an error.
        let _ = anew.args(arguments).env(ARENAS, "1").exec();
    }
}
