//! What goes wrong while a disk is written, with real firmware, the real boot environment and the real daemon: each
//! fault ends in an image that is whole or in an error that names the cause, and touches nothing of another machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "it is all test: it stops where it fails, and a fault lasts as long as it does"
)]

mod lab;
#[path = "faults/scene.rs"]
mod scene;
#[path = "provision/site.rs"]
mod site;
#[path = "provision/small.rs"]
mod small;

use std::time::Duration;

use lab::one_at_a_time;
use nix::sys::signal::Signal;
use scene::{IMAGE, SOON, Scene, begun};
use small::{Behaviour, MIB};

/// A source that stops in the middle until the fault is over.
fn held() -> Behaviour {
    Behaviour {
        hold_at: Some(72 * MIB),
        ..Behaviour::default()
    }
}

#[test]
fn a_machine_that_lost_its_power_in_the_middle_goes_on_when_it_has_it_again() {
    let _turn = one_at_a_time();
    let Some(mut scene) = Scene::open(held()) else {
        return;
    };
    scene.vm.power_off().unwrap();
    scene.source.release();
    scene.power_on();
    let workflow = scene.wait_success();
    assert_eq!(workflow["attempt"], 2, "{workflow}");
    assert_eq!(begun(&workflow), [1, 2, 1], "{workflow}");
    assert_eq!(scene.source.asked(), [0]);
    scene.expect_others_untouched();
}

#[test]
fn a_server_that_was_killed_in_the_middle_goes_on_when_it_is_started_again() {
    let _turn = one_at_a_time();
    let Some(mut scene) = Scene::open(held()) else {
        return;
    };
    scene.end_daemon(Signal::SIGKILL);
    scene.start_daemon();
    scene.source.release();
    let workflow = scene.wait_success();
    // The agent was there all the time, and goes on with the step that it was in.
    assert_eq!(workflow["attempt"], 1, "{workflow}");
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    assert_eq!(scene.source.asked().len(), 2);
    scene.expect_others_untouched();
}

/// Once with ranges, where the download goes on; once without, where it starts over and the machine notices nothing.
#[test]
fn a_source_that_breaks_off_at_half_is_asked_again() {
    let _turn = one_at_a_time();
    let cut = Behaviour {
        cut_at: Some(IMAGE / 2),
        cuts: Some(1),
        ..held()
    };
    let Some(mut scene) = Scene::open(cut.clone()) else {
        return;
    };
    scene.source.release();
    let workflow = scene.wait_success();
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    assert_eq!(scene.source.asked(), [0, IMAGE / 2]);

    let plain = true;
    scene.again(Behaviour { plain, ..cut });
    scene.source.release();
    let workflow = scene.wait_success();
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    assert_eq!(scene.source.asked(), [0, 0]);
    scene.expect_others_untouched();
}

#[test]
#[ignore = "long: a source that always breaks off is asked again for a while"]
fn a_source_that_always_breaks_off_at_half_is_told_as_the_cause() {
    let _turn = one_at_a_time();
    let behaviour = Behaviour {
        cut_at: Some(IMAGE / 2),
        plain: true,
        ..Behaviour::default()
    };
    let Some(scene) = Scene::open_within(60, behaviour) else {
        return;
    };
    let workflow = scene.wait_end();
    assert_eq!(workflow["state"], "failed", "{workflow}");
    let error = workflow["error"].as_str().unwrap();
    let cause = format!("the source broke off after {} bytes", IMAGE / 2);
    assert!(error.contains(&cause), "{error}");
    let machine = scene.site.wait_state(&scene.vm, "error", SOON);
    let told = machine["state_message"].as_str().unwrap();
    assert!(told.contains(&cause), "{told}");
    scene.expect_others_untouched();
}

#[test]
#[ignore = "long: the network is away for a minute"]
fn a_machine_whose_network_is_cut_for_a_minute_goes_on() {
    let _turn = one_at_a_time();
    let Some(scene) = Scene::open(held()) else {
        return;
    };
    scene.vm.set_link(false).unwrap();
    scene.source.release();
    std::thread::sleep(Duration::from_mins(1));
    assert!(scene.compare().is_err(), "it had a network all the time");
    scene.vm.set_link(true).unwrap();
    let workflow = scene.wait_success();
    assert_eq!(workflow["attempt"], 1, "{workflow}");
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    assert_eq!(scene.source.asked(), [0]);
    scene.expect_others_untouched();
}

/// The cable of the source, not of the machine.
#[test]
#[ignore = "long: the network is away for a minute"]
fn a_source_whose_network_is_cut_for_a_minute_goes_on() {
    let _turn = one_at_a_time();
    let Some(scene) = Scene::open(held()) else {
        return;
    };
    let cable = scene.site.lab.host(small::HOST).unwrap();
    cable.set_link(false).unwrap();
    scene.source.release();
    std::thread::sleep(Duration::from_mins(1));
    cable.set_link(true).unwrap();
    let workflow = scene.wait_success();
    assert_eq!(workflow["attempt"], 1, "{workflow}");
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    scene.expect_others_untouched();
}

/// What an upgrade does: the old daemon is asked to stop, and another program is started on its data.
#[test]
#[ignore = "long: two machines boot for one restart"]
fn a_daemon_that_is_upgraded_in_the_middle_goes_on() {
    let _turn = one_at_a_time();
    let Some(mut scene) = Scene::open(held()) else {
        return;
    };
    scene.end_daemon(Signal::SIGTERM);
    scene.upgrade_daemon();
    scene.source.release();
    let workflow = scene.wait_success();
    assert_eq!(workflow["attempt"], 1, "{workflow}");
    assert_eq!(begun(&workflow), [1, 1, 1], "{workflow}");
    let asked = scene.source.asked();
    // A daemon that had the time for it wrote down all that it had.
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1] >= 64 * MIB, "{asked:?}");
    scene.expect_others_untouched();
}
