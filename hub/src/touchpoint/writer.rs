//! Stores touchpoints: whatever callers hand over at the same moment goes into one statement and one commit.

use std::sync::Arc;

use passage_protocol::Clock;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::{
    store::{self, Db, StoreError},
    touchpoint::Touchpoint,
};

/// Callers that may wait.
const QUEUE: usize = 256;
/// Touchpoints of one transaction, unless one caller brings more.
const BATCH: usize = 10_000;

/// Hands touchpoints over. Clones share the tasks behind it, which end with the last of them.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::Sender<Job>,
}

/// What one caller wants stored.
#[derive(Debug)]
struct Job {
    touches: Vec<Touchpoint>,
    answer: oneshot::Sender<Result<Vec<bool>, StoreError>>,
}

impl Writer {
    /// Starts the tasks: SQLite has one writer; of PostgreSQL's two one encodes while the other waits for the disk.
    pub fn start(db: &Db, clock: &Clock) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..if db.is_sqlite() { 1 } else { 2 } {
            tokio::spawn(work(db.clone(), clock.clone(), Arc::clone(&jobs)));
        }
        Self { queue }
    }

    /// Stores them; the answer says for each whether its id is new.
    ///
    /// # Errors
    /// The database; nothing of `touches` is stored then.
    pub async fn store(&self, touches: Vec<Touchpoint>) -> Result<Vec<bool>, StoreError> {
        let (answer, told) = oneshot::channel();
        if self.queue.send(Job { touches, answer }).await.is_err() {
            return Err(StoreError::Silent);
        }
        told.await.unwrap_or(Err(StoreError::Silent))
    }
}

async fn work(db: Db, clock: Clock, jobs: Arc<Mutex<mpsc::Receiver<Job>>>) {
    loop {
        let Some(batch) = next(&mut *jobs.lock().await).await else { return };
        store_batch(&db, &clock, batch).await;
    }
}

/// Waits for a job, and takes with it what waits already.
async fn next(jobs: &mut mpsc::Receiver<Job>) -> Option<Vec<Job>> {
    let first = jobs.recv().await?;
    let mut rows = first.touches.len();
    let mut batch = vec![first];
    while rows < BATCH
        && let Ok(job) = jobs.try_recv()
    {
        rows += job.touches.len();
        batch.push(job);
    }
    Some(batch)
}

/// Stores a batch. What fails together is tried one by one, so that nobody's rows fail for another's.
async fn store_batch(db: &Db, clock: &Clock, batch: Vec<Job>) {
    let (mut all, mut answers) = (Vec::new(), Vec::new());
    for job in batch {
        answers.push((job.touches.len(), job.answer));
        all.extend(job.touches);
    }
    let outcome = store(db, clock, &all).await;
    match outcome {
        Ok(new) => {
            let mut new = new.into_iter();
            answers.into_iter().for_each(|(rows, answer)| tell(answer, Ok(new.by_ref().take(rows).collect())));
        }
        Err(error) if answers.len() == 1 => {
            if let Some((_, answer)) = answers.pop() {
                tell(answer, Err(error));
            }
        }
        Err(_) => {
            let mut rest = all.as_slice();
            for (rows, answer) in answers {
                let (own, others) = rest.split_at(rows);
                rest = others;
                tell(answer, store(db, clock, own).await);
            }
        }
    }
}

fn tell(answer: oneshot::Sender<Result<Vec<bool>, StoreError>>, outcome: Result<Vec<bool>, StoreError>) {
    // A caller who has gone does not want to know.
    let _ = answer.send(outcome);
}

async fn store(db: &Db, clock: &Clock, touches: &[Touchpoint]) -> Result<Vec<bool>, StoreError> {
    let mut tx = db.begin().await?;
    let new = store::touchpoint::insert(&mut tx, touches, clock.now()).await?;
    tx.commit().await?;
    Ok(new)
}
