//! The pages of docs/stories, whose commands run as they stand there, and print what stands there.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod page;
mod shop;

use shop::Shop;

#[test]
fn odd_and_even() {
    let shop = Shop::start();
    shop.follow(include_str!("../../../docs/stories/odd-and-even.md"));
    shop.wait();
    assert_eq!(
        shop.query(1, "SELECT sum(order_id) FROM shop.orders"),
        shop.query(2, "SELECT sum(order_id) FROM shop.orders")
    );
    // What nobody should insert is refused from now on.
    let mut client = shop.connect(2);
    let refused = client.batch_execute("INSERT INTO shop.orders (order_id, customer_id) VALUES (4001, 1)");
    assert!(refused.is_err());
    client.batch_execute("INSERT INTO shop.orders (customer_id) VALUES (1)").unwrap();
}

#[test]
fn the_central_sequence() {
    let shop = Shop::start();
    shop.follow(include_str!("../../../docs/stories/the-central-sequence.md"));
    let of_key = "SELECT data_type FROM information_schema.columns WHERE table_name = 'audit' AND column_name = 'order_id'";
    assert_eq!(shop.query(1, of_key), "uuid");
    assert_eq!(shop.query(1, "SELECT count(*) FROM orders"), "2202");
    assert_eq!(shop.query(1, "SELECT count(*) FROM pg_sequences WHERE sequencename LIKE 'orders%'"), "0");
}
