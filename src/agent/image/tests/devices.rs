//! True block devices, as far as loop devices are such: their sizes, their sectors, what they held before.

use test_case::test_case;

use super::super::block::BLOCK;
use super::*;

/// A loop device over a file of old bytes; nothing where there can be none.
#[derive(Debug)]
struct Loop {
    _home: TempDir,
    path: String,
    /// Where a file system was mounted for it.
    mounted: Option<String>,
}

fn run(line: &str) -> Option<String> {
    let done = Command::new("sh").args(["-ec", line]).output().unwrap();
    done.status
        .success()
        .then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

impl Loop {
    fn new(size: usize, options: &str) -> Option<Self> {
        let home = tempfile::tempdir_in(concat!(env!("CARGO_MANIFEST_DIR"), "/target")).unwrap();
        let file = home.path().join("backing");
        fs::write(&file, vec![0xee; size]).unwrap();
        Self::over(home, &file.display().to_string(), options, None)
    }

    fn over(home: TempDir, file: &str, options: &str, mounted: Option<String>) -> Option<Self> {
        let path = run(&format!("losetup {options} --find --show {file}"));
        if path.is_none() {
            println!("skipped: no loop devices here");
        }
        Some(Self {
            _home: home,
            path: path?,
            mounted,
        })
    }

    fn write(&self, image: Vec<u8>, verify: bool) -> Result<Written, ImageError> {
        let server = Liar::honest(image);
        let options = Options {
            verify,
            memory: None,
        };
        let target = Target::new(&self.path);
        write_image(&Source::new(server.url()), &target, &options, &mut |_| {
            ControlFlow::Continue(())
        })
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(&format!("losetup -d {}", self.path));
        if let Some(mounted) = &self.mounted {
            run(&format!("umount -l {mounted}"));
        }
    }
}

#[test_case("", 512; "sectors of 512 bytes")]
#[test_case("--sector-size 4096", 4096; "sectors of 4096 bytes")]
#[test_case("--direct-io=on", 512; "past the page cache")]
fn an_image_covers_what_was_there_and_leaves_what_lies_behind(options: &str, sector: usize) {
    let (image, size) = (image(), 6 << 20);
    let Some(disk) = Loop::new(size, options) else {
        return;
    };
    for file in [image.clone(), packed(&image, &["gzip", "-c"]).unwrap()] {
        let written = disk.write(file, true).unwrap();
        assert_eq!(
            (written.length, written.verified),
            (image.len() as u64, true)
        );
        let bytes = disk.bytes();
        assert!(bytes[..image.len()] == image, "other bytes are on the disk");
        let end = image.len().next_multiple_of(sector);
        assert!(bytes[image.len()..end].iter().all(|byte| *byte == 0));
        // The end of the disk is where old partition tables lie.
        assert!(bytes[end..size - BLOCK].iter().all(|byte| *byte == 0xee));
        assert!(bytes[size - BLOCK..].iter().all(|byte| *byte == 0));
    }
}

#[test]
fn a_disk_of_the_images_very_size_is_filled() {
    let mut image = image();
    image.truncate(3 << 20);
    let Some(disk) = Loop::new(image.len(), "") else {
        return;
    };
    disk.write(image.clone(), true).unwrap();
    assert!(disk.bytes() == image);
}

#[test]
fn a_disk_that_is_too_small_is_told_with_both_sizes() {
    let image = image();
    let Some(disk) = Loop::new(2 << 20, "") else {
        return;
    };
    let error = disk.write(image.clone(), false).unwrap_err().to_string();
    assert!(error.contains("3146505 bytes"), "{error}");
    assert!(error.contains("2097152 bytes"), "{error}");
    let kept = disk.bytes().iter().all(|byte| *byte == 0xee);
    assert!(kept, "what cannot be written destroys nothing");
    let packed = packed(&image, &["gzip", "-c"]).unwrap();
    let error = disk.write(packed, false).unwrap_err().to_string();
    assert!(error.contains("at least 3"), "{error}");
    assert!(
        disk.bytes().iter().take(BLOCK).all(|byte| *byte == 0),
        "it may boot"
    );
}

#[test]
fn a_disk_that_is_mounted_is_left_alone() {
    let Some(disk) = Loop::new(4 << 20, "") else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let mount = format!(
        "mke2fs -q {0} && mount {0} {1}",
        disk.path,
        place.path().display()
    );
    if run(&mount).is_none() {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let before = disk.bytes();
    let error = disk.write(image(), false).unwrap_err().to_string();
    let same = disk.bytes() == before;
    run(&format!("umount {}", place.path().display())).unwrap();
    assert!(error.contains("it is in use"), "{error}");
    assert!(same);
}

/// A disk that takes the first megabytes and then no more, as a failing one does.
#[test]
fn a_disk_that_fails_in_the_middle_is_named_with_the_place() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("small");
    fs::create_dir(&place).unwrap();
    let mounted = place.display().to_string();
    if run(&format!("mount -t tmpfs -o size=2200k none {mounted}")).is_none() {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let file = place.join("backing");
    run(&format!("truncate -s 8M {}", file.display())).unwrap();
    let Some(disk) = Loop::over(home, &file.display().to_string(), "", Some(mounted)) else {
        return;
    };
    let error = disk.write(vec![1; 6 << 20], false).unwrap_err();
    assert!(
        matches!(
            error,
            ImageError::Disk {
                what: "writing" | "writing out",
                ..
            }
        ),
        "{error}"
    );
    let error = error.to_string();
    assert!(
        error.contains(&disk.path) && error.contains("failed at byte"),
        "{error}"
    );
}
