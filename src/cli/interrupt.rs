//! Ctrl-C: the first one cancels, the second one leaves.

use std::io;

use quell::{CancelRequest, Run};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows::{CtrlC as Signal, ctrl_c};

use super::tell;

/// What a shell reports of a program that was ended by an interrupt.
const INTERRUPTED: i32 = 130;

/// The interrupts from now on. One that comes before it is asked for is kept.
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

/// Cancels `run` at the first interrupt, and leaves at the second. That one is for a program that cannot end by itself,
/// because nobody reads what it prints or because a model blocks its thread.
pub(super) async fn cancel(run: Run, mut interrupts: Interrupts) {
    interrupts.0.recv().await;
    // Decided in this call; only whether it is stored is waited for, and the second interrupt does not wait for that.
    drop(run.cancel_with(CancelRequest::default().by("Ctrl-C")));
    tell(format_args!("\n[cancelling; Ctrl-C again leaves at once]"));
    interrupts.0.recv().await;
    std::process::exit(INTERRUPTED);
}
