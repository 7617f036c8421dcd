//! Ctrl-C: the first one cancels the run, the second one ends the program.

use std::io;

use quell::{CancelRequest, Run};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC as Signal, ctrl_c};

use super::tell;

/// The exit code that a shell reports for a program ended by an interrupt.
const INTERRUPTED: i32 = 130;

/// The interrupts from now on. One that comes before `recv` is kept.
pub(super) struct Interrupts(Signal);

impl Interrupts {
    pub(super) fn listen() -> io::Result<Interrupts> {
        #[cfg(unix)]
        let signal = signal(SignalKind::interrupt())?;
        #[cfg(windows)]
        let signal = ctrl_c()?;
        Ok(Interrupts(signal))
    }
}

/// Cancels `run` at the first interrupt, and exits at the second. The second is for a program that cannot end by
/// itself, because its output is not read or because a model blocks its thread.
pub(super) async fn cancel(run: Run, mut interrupts: Interrupts) {
    interrupts.0.recv().await;
    // The call itself decides the cancel. Its future only waits until that is stored, and the second interrupt must not
    // wait for the store.
    run.cancel_with(CancelRequest::default().by("Ctrl-C"));
    tell(format_args!("\n[cancelling; Ctrl-C again exits at once]"));
    interrupts.0.recv().await;
    std::process::exit(INTERRUPTED);
}
