//! The gateway's own radio source against a stand-in for BlueZ on a private message bus: each fault of radio life in a file named after it.
//! The process that listens is never restarted; it must come back by itself.

mod support;

mod adapter_pulled;
mod bus_dies;
mod daemon_hangs;
mod daemon_killed;
mod daemon_wedged;
mod give_up;
mod load;
mod powered_off_by_another;
mod quiet_site;
