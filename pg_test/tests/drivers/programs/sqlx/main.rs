//! sqlx.

use pg_keyspace_client::{Ulid, check};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolCopyExt, PgPoolOptions};
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct Payment {
    id: Ulid,
    refunds: Vec<Ulid>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let pool: PgPool = PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(check(connection)))
        .connect_with(PgConnectOptions::new())
        .await?;

    // A uuid needs the feature uuid, and nothing else.
    let view: Uuid =
        sqlx::query_scalar("INSERT INTO page_view (url) VALUES ('/') RETURNING id").fetch_one(&pool).await?;
    let found: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM page_view WHERE id = ANY($1)")
        .bind(vec![view])
        .fetch_all(&pool)
        .await?;
    assert_eq!(found, [view]);

    // Without the type, text is refused in both directions.
    let text = sqlx::query_scalar::<_, String>("INSERT INTO payment (amount) VALUES (1) RETURNING id")
        .fetch_one(&pool);
    assert!(text.await.is_err());
    let text: String = sqlx::query_scalar("SELECT id::text FROM payment").fetch_one(&pool).await?;
    assert!(sqlx::query("SELECT FROM payment WHERE id = $1").bind(&text).fetch_all(&pool).await.is_err());

    let key: Ulid = sqlx::query_scalar("SELECT id FROM payment WHERE id = $1::text::ulid")
        .bind(&text)
        .fetch_one(&pool)
        .await?;
    assert_eq!(key.to_string(), text);
    let payment: Payment =
        sqlx::query_as("UPDATE payment SET refunds = $1 WHERE id = ANY($2) RETURNING id, refunds")
            .bind(vec![key, Ulid(7)])
            .bind([key].as_slice())
            .fetch_one(&pool)
            .await?;
    assert!(payment.id == key && payment.refunds == [key, Ulid(7)]);
    let none: Option<Ulid> =
        sqlx::query_scalar("SELECT $1::ulid").bind(None::<Ulid>).fetch_one(&pool).await?;
    assert_eq!(none, None);
    // In the simple protocol values are text.
    let row: Vec<sqlx::postgres::PgRow> = sqlx::raw_sql("SELECT id FROM payment").fetch_all(&pool).await?;
    assert_eq!(sqlx::Row::get::<Ulid, _>(&row[0], 0), key);

    let amounts: Vec<i64> = (0..1000).collect();
    let keys: Vec<Ulid> =
        sqlx::query_scalar("INSERT INTO payment (amount) SELECT * FROM unnest($1::bigint[]) RETURNING id")
            .bind(amounts)
            .fetch_all(&pool)
            .await?;
    assert!(keys.len() == 1000 && keys.is_sorted_by(|one, other| one < other));

    // COPY is sent as text.
    let lines: String = (0..1000).map(|number| format!("{}\t7\n", Ulid(number))).collect();
    let mut copy = pool.copy_in_raw("COPY payment (id, amount) FROM STDIN").await?;
    copy.send(lines.as_bytes()).await?;
    assert_eq!(copy.finish().await?, 1000);

    let (id, shown): (Uuid, Ulid) =
        sqlx::query_as("INSERT INTO invoice (total) VALUES (1) RETURNING id, id::ulid")
            .fetch_one(&pool)
            .await?;
    assert_eq!(id.as_u128(), shown.0);
    for insert in [
        "INSERT INTO ticket (subject) VALUES ('a'), ('b') RETURNING no",
        "INSERT INTO item (name) VALUES ('a'), ('b') RETURNING id",
    ] {
        let ids: Vec<i64> = sqlx::query_scalar(insert).fetch_all(&pool).await?;
        assert!(ids.len() == 2 && ids.iter().all(|id| id % 2 == 0), "{ids:?}");
    }
    // Where search_path finds another type first, a key would be read as that one.
    let other = PgConnectOptions::new().options([("search_path", "decoy,public")]);
    let refused = PgPoolOptions::new()
        .after_connect(|connection, _| Box::pin(check(connection)))
        .acquire_timeout(std::time::Duration::from_secs(5))
        .connect_with(other)
        .await;
    assert!(refused.is_err());
    println!("tested: sqlx 0.9.0");
    Ok(())
}
