//! The terminal: drawing, keys, and leaving it as it was.

use std::{io, time::Duration};

use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
};
use tokio::sync::mpsc;

use super::{table::Snapshot, view, view::Sort};

/// The thread that reads keys looks so often whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// q, Esc, Ctrl-C
    Quit,
    /// p
    Pause,
    /// s
    Sort,
}

/// The terminal in its full-screen mode. Dropping it gives the terminal back.
pub(super) struct Screen {
    terminal: DefaultTerminal,
    keys: mpsc::Receiver<Key>,
}

impl Screen {
    /// Takes the terminal. A panic gives it back before it is told.
    pub fn open() -> io::Result<Self> {
        let terminal = ratatui::try_init()?;
        let (sender, keys) = mpsc::channel(8);
        std::thread::spawn(move || read_keys(&sender));
        Ok(Self { terminal, keys })
    }

    /// Draws the table.
    pub fn draw(&mut self, shown: &Snapshot, sort: Sort, is_held: bool) -> io::Result<()> {
        self.terminal.draw(|frame| view::draw(frame, shown, sort, is_held)).map(|_| ())
    }

    /// The next key.
    pub async fn key(&mut self) -> Key {
        // Without a reader of keys there is nobody who could ask to quit.
        self.keys.recv().await.unwrap_or(Key::Quit)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn read_keys(keys: &mpsc::Sender<Key>) {
    while !keys.is_closed() {
        match event::poll(LOOK) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) => return,
        }
        let Ok(Event::Key(pressed)) = event::read() else { continue };
        let is_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
        let key = match pressed.code {
            _ if pressed.kind != KeyEventKind::Press => None,
            KeyCode::Char('c') if is_control => Some(Key::Quit),
            KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
            KeyCode::Char('p') => Some(Key::Pause),
            KeyCode::Char('s') => Some(Key::Sort),
            _ => None,
        };
        if let Some(key) = key {
            let _ = keys.blocking_send(key);
        }
    }
}
