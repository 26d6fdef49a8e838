//! Short runs of `cargo xtask chaos`.

use std::time::Duration;

use pg_test::InstallTree;
use pg_test::chaos::{Chaos, FaultKind, Options, Report};

use crate::{alone, options, show};

fn run(options: Options) -> Report {
    let _alone = alone();
    let faults = options.max_faults;
    let report = Chaos::run(&InstallTree::from_environment().unwrap(), options, &mut show).unwrap();
    assert!(report.is_good(), "{}", report.markdown());
    assert!(report.inserts > 0 && report.fault_count() > 0 && report.fault_count() as u64 <= faults);
    report
}

/// Three nodes with faults of servers, processes and links.
#[test]
fn trap_s22_no_row_is_lost_or_duplicated_while_servers_and_links_fail() {
    let options = options("servers and links", 3, &FaultKind::QUICK);
    let report = run(Options { duration: Duration::from_secs(20), ..options });
    assert!(report.checked.rows > 0 && report.checked.keys >= report.inserts);
}

/// Two nodes whose servers are replaced by a standby, by a dump and by a clone of the other.
#[test]
fn trap_s23_s13_no_row_is_lost_or_duplicated_while_servers_are_replaced() {
    let options = options("replaced", 2, &[FaultKind::FailOver, FaultKind::Restore, FaultKind::Clone]);
    let duration = Duration::from_secs(600);
    let report = run(Options { max_faults: 3, duration, ..options });
    assert_eq!(report.fault_count(), 3);
}
