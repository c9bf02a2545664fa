//! A PostgreSQL database of the test's own.

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// A fresh database, dropped at the end.
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    pub async fn create() -> Self {
        let server = std::env::var("PASSAGE_TEST_POSTGRES")
            .expect("PASSAGE_TEST_POSTGRES must name a PostgreSQL server where databases may be created; deploy/test starts one");
        let name = format!("passage_{}", uuid::Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&server).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).execute(&mut admin).await.unwrap();
        Self { server, name }
    }

    pub fn url(&self) -> String {
        let (base, _) = self.server.rsplit_once('/').unwrap();
        format!("{base}/{}", self.name)
    }

    /// Host and port of the server.
    pub fn server_address(&self) -> String {
        let (_, rest) = self.server.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        authority.rsplit('@').next().unwrap().to_owned()
    }

    /// The same database by way of another port.
    pub fn url_by(&self, port: u16) -> String {
        self.url().replace(&self.server_address(), &format!("127.0.0.1:{port}"))
    }

    /// Ends all connections, and lets nobody in before it is called with `true`.
    pub async fn open_door(&self, open: bool) {
        let mut admin = PgConnection::connect(&self.server).await.unwrap();
        let door = format!("ALTER DATABASE {} ALLOW_CONNECTIONS {open}", self.name);
        sqlx::query(AssertSqlSafe(door)).execute(&mut admin).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(end).bind(&self.name).execute(&mut admin).await.unwrap();
    }

    /// The first column of the first row as a number.
    pub async fn count(&self, sql: &str) -> i64 {
        self.rows(sql).await.first().map_or(0, |r| r.get::<i64, _>(0))
    }

    /// All rows of a query.
    pub async fn rows(&self, sql: &str) -> Vec<sqlx::postgres::PgRow> {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap()
    }

    /// Every byte of every row of every table, as text: what a thief of the database would read.
    pub async fn everything(&self) -> String {
        let tables = self.rows("SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'").await;
        let mut all = String::new();
        for table in tables {
            let table: String = table.get(0);
            for row in self.rows(&format!("SELECT t::text FROM \"{table}\" t")).await {
                all.push_str(&row.get::<String, _>(0));
                all.push('\n');
            }
        }
        all
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A runtime of its own, because drop cannot wait on the test's.
        let drop = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                let _ = sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).execute(&mut admin).await;
            });
        };
        let _ = std::thread::spawn(drop).join();
    }
}
