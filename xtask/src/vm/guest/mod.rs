//! Process 1 of a guest: makes the host's files the guest's own, runs the command, reports, and waits to be
//! ended by the host.

mod command;
mod network;

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags};

use super::initramfs::MODULE_DIRECTORY;
use super::orders::{self, Orders, Report};
use crate::error::{Context, Result, message};

/// Where the control directory is mounted once the host's files are the root.
const CONTROL_DIRECTORY: &str = "/run/skep-guest";

/// Whether this process is the guest's first. Its number alone does not tell: in a container, cargo's own
/// process can be number 1.
pub fn is_process_one() -> bool {
    std::process::id() == 1 && std::env::args().next().as_deref() == Some("/init")
}

/// Never returns: process 1 must not end.
pub fn init() -> ! {
    match run() {
        // The host ends the guest once it has the report and all output.
        Ok(()) => std::thread::sleep(Duration::from_secs(30)),
        Err(error) => say(&format!("guest: {error}")),
    }
    let _ = rustix::system::reboot(rustix::system::RebootCommand::PowerOff);
    loop {
        std::thread::park();
    }
}

/// Writes a line to the kernel's console, which the host shows when a guest dies.
fn say(text: &str) {
    if let Ok(mut console) = fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ = writeln!(console, "{text}");
    }
}

fn run() -> Result<()> {
    let orders = take_host_files()?;
    rustix::system::sethostname(orders.hostname.as_bytes()).context(|| "set the host name".to_owned())?;
    network::up_loopback()?;
    for module in &orders.load {
        let loaded = Command::new("modprobe").arg(module).env("PATH", command::PATH).status();
        if !loaded.is_ok_and(|status| status.success()) {
            say(&format!("guest: module {module} could not be loaded"));
        }
    }
    if orders.network {
        network::up_device()?;
    }
    let started = uptime();
    let (status, written) = command::run(&orders)?;
    // What the command left in writable directories reaches the host before the guest is ended.
    rustix::fs::sync();
    orders::write(&Path::new(CONTROL_DIRECTORY).join(orders::REPORT), &Report { status, written, started })
}

/// Mounts everything and changes the root; afterwards paths mean what they mean on the host.
fn take_host_files() -> Result<Orders> {
    // Some kernels have mounted /dev already.
    let _ = rustix::mount::mount("dev", "/dev", "devtmpfs", MountFlags::empty(), None);
    mount("proc", "/proc", "")?;
    load_boot_modules()?;
    mount_as(orders::SHARE, "/host", "virtiofs", "")?;

    let command_line = fs::read_to_string("/proc/cmdline").context(|| "read /proc/cmdline".to_owned())?;
    let control = command_line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(orders::CONTROL))
        .ok_or_else(|| message("no control directory on the kernel's command line"))?;
    let orders: Orders = orders::read(&on_host(Path::new(control)).join(orders::ORDERS))?;

    mount_as("rw", "/rw", "tmpfs", "size=75%,mode=755")?;
    create("/rw/upper")?;
    create("/rw/work")?;
    mount_as("overlay", "/new", "overlay", "lowerdir=/host,upperdir=/rw/upper,workdir=/rw/work")?;
    populate(Path::new("/new"))?;
    bind(&on_host(Path::new(control)), &inside(CONTROL_DIRECTORY))?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let modules = inside(&format!("/usr/lib/modules/{release}"));
    bind(&on_host(&orders.modules), &modules)?;
    let usual = inside(&format!("/lib/modules/{release}"));
    if !usual.join("modules.dep").exists() {
        create(inside("/lib/modules"))?;
        let _ = symlink(format!("/usr/lib/modules/{release}"), &usual);
    }
    for directory in &orders.writable {
        let target = directory.strip_prefix("/").map(|path| Path::new("/new").join(path));
        bind(&on_host(directory), &target.unwrap_or_default())?;
    }
    // Only the binds above may reach the host from now on.
    let _ = rustix::mount::unmount("/host", UnmountFlags::DETACH);
    change_root()?;
    Ok(orders)
}

/// Where the share shows a path of the host.
fn on_host(path: &Path) -> PathBuf {
    Path::new("/host").join(path.strip_prefix("/").unwrap_or(path))
}

/// Where the coming root has an absolute path.
fn inside(path: &str) -> PathBuf {
    PathBuf::from(format!("/new{path}"))
}

fn load_boot_modules() -> Result<()> {
    let directory = Path::new("/").join(MODULE_DIRECTORY);
    let list = || format!("list {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).context(list)? {
        files.push(entry.context(list)?.path());
    }
    files.sort();
    for file in files {
        let module = fs::File::open(&file).context(|| format!("open {}", file.display()))?;
        match rustix::system::finit_module(&module, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error).context(|| format!("load {}", file.display())),
        }
    }
    Ok(())
}

/// The file systems every Linux system has.
fn populate(root: &Path) -> Result<()> {
    let at = |place: &str| root.join(place).display().to_string();
    mount("proc", &at("proc"), "")?;
    mount_as("sys", &at("sys"), "sysfs", "")?;
    rustix::mount::mount_move("/dev", at("dev").as_str()).context(|| "move /dev".to_owned())?;
    create(at("dev/pts"))?;
    create(at("dev/shm"))?;
    mount_as("devpts", &at("dev/pts"), "devpts", "gid=5,mode=620,ptmxmode=666")?;
    mount_as("shm", &at("dev/shm"), "tmpfs", "")?;
    mount_as("run", &at("run"), "tmpfs", "mode=755")?;
    create(at("run/lock"))?;
    for (link, target) in [("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")] {
        let _ = symlink(format!("/proc/self/fd{target}"), at(&format!("dev/{link}")));
    }
    // Not every kernel has every one of these, and a command that needs one says so itself.
    for (kind, place) in [
        ("tracefs", "sys/kernel/tracing"),
        ("debugfs", "sys/kernel/debug"),
        ("securityfs", "sys/kernel/security"),
        ("bpf", "sys/fs/bpf"),
        ("cgroup2", "sys/fs/cgroup"),
    ] {
        let _ = mount(kind, &at(place), "");
    }
    Ok(())
}

fn change_root() -> Result<()> {
    let failed = || "change the root".to_owned();
    std::env::set_current_dir("/new").context(failed)?;
    rustix::mount::mount_move(".", "/").context(failed)?;
    rustix::process::chroot(".").context(failed)?;
    std::env::set_current_dir("/").context(failed)
}

fn mount(kind: &str, target: &str, options: &str) -> Result<()> {
    mount_as(kind, target, kind, options)
}

fn mount_as(source: &str, target: &str, kind: &str, options: &str) -> Result<()> {
    let options = std::ffi::CString::new(options).unwrap_or_default();
    rustix::mount::mount(source, target, kind, MountFlags::empty(), options.as_c_str())
        .context(|| format!("mount {kind} on {target}"))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    create(target)?;
    rustix::mount::mount_bind(source, target)
        .context(|| format!("bind {} to {}", source.display(), target.display()))
}

fn create(directory: impl AsRef<Path>) -> Result<()> {
    let directory = directory.as_ref();
    match fs::create_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).context(|| format!("create {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// Seconds since the guest's start.
fn uptime() -> f64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or_default()
}
