//! Short runs of `cargo xtask chaos`.

use std::time::Duration;

use pg_test::InstallTree;
use pg_test::chaos::{Chaos, Kind, Options, Report};

use crate::{alone, options, say};

fn run(options: Options) -> Report {
    let _alone = alone();
    let faults = options.most_faults;
    let report = Chaos::run(&InstallTree::from_environment().unwrap(), options, &mut say).unwrap();
    assert!(report.is_good(), "{}", report.markdown());
    assert!(report.inserts > 0 && report.struck() > 0 && report.struck() as u64 <= faults);
    report
}

/// Three nodes with faults of servers, processes and lines.
#[test]
fn trap_s22_nothing_is_lost_or_doubled_while_servers_and_lines_fail() {
    let options = options("servers and lines", 3, &Kind::QUICK);
    let report = run(Options { lasts: Duration::from_secs(20), ..options });
    assert!(report.looked.rows > 0 && report.looked.keys >= report.inserts);
}

/// Two nodes whose servers are replaced by a standby, by a dump and by a clone of the other.
#[test]
fn trap_s23_s13_nothing_is_lost_or_doubled_while_servers_are_replaced() {
    let options = options("replaced", 2, &[Kind::FailOver, Kind::Restore, Kind::Clone]);
    let lasts = Duration::from_secs(600);
    let report = run(Options { most_faults: 3, lasts, ..options });
    assert_eq!(report.struck(), 3);
}
