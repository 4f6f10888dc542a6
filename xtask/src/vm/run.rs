//! One guest from start to end: QEMU, the file share, the command's output, the report.

use std::fs;
use std::io::{PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use super::fetch::fetch;
use super::initramfs;
use super::kernels::{Cached, Kernel};
use super::orders::{self, Orders, Report};
use crate::debian::{self, Tool};
use crate::error::{Context, Result, message};
use crate::process;
use crate::project;

/// What a guest needs from Debian.
const TOOLS: &[Tool] = &[
    Tool { program: "qemu-system-x86_64", packages: &["qemu-system-x86"] },
    // Part of QEMU's own packages up to Debian 12.
    Tool { program: "virtiofsd", packages: &["virtiofsd"] },
    Tool { program: "modprobe", packages: &["kmod"] },
    Tool { program: "depmod", packages: &["kmod"] },
    Tool { program: "dpkg-deb", packages: &["dpkg"] },
    Tool { program: "gzip", packages: &["gzip"] },
    Tool { program: "lz4", packages: &["lz4"] },
    Tool { program: "xz", packages: &["xz-utils"] },
    Tool { program: "zstd", packages: &["zstd"] },
];

/// Kernel parameters that matter when every instruction is translated: no retpolines, no zeroing of every
/// page, no self-tests of the cryptography (a second), no clock comparison between CPUs, and no trial of the
/// timer's interrupt, which a busy host delivers too late. `lsm=bpf` gives BPF
/// security hooks also where the kernel's own list lacks them, and nothing else that slows each open().
const PARAMETERS: &str = "console=ttyS0 panic=-1 mitigations=off init_on_alloc=0 cryptomgr.notests=1 \
                          tsc=reliable no_timer_check lsm=bpf audit=0 nokaslr";

/// The CPU: everything but what software emulation is slow or wrong at.
const CPU: &str = "max,-erms,-fsrm,-la57";

/// How often the host looks whether the guest is done.
const PAUSE: Duration = Duration::from_millis(10);

/// A guest to run.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The kernel.
    pub kernel: Kernel,
    /// CPUs.
    pub cpus: u32,
    /// Memory, as QEMU takes it ("2G").
    pub memory: String,
    /// How long it may take in all.
    pub timeout: Duration,
    /// Host directories in which writes are kept.
    pub writable: Vec<PathBuf>,
    /// Variables for the command.
    pub environment: Vec<(String, String)>,
    /// The size of an empty scratch disk, /dev/vda, as QEMU takes it.
    pub disk: Option<String>,
    /// Whether there is a network device.
    pub network: bool,
    /// Modules loaded before the command.
    pub modules: Vec<String>,
    /// Where the kernel's console log is kept.
    pub console: Option<PathBuf>,
    /// Whether the console and times go to standard error.
    pub verbose: bool,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The command ended with this status.
    Status(u8),
    /// The time was up.
    Timeout,
    /// It could not start, or panicked; with what is known.
    Died(String),
    /// This process was told to stop by this signal, or nobody reads its output any more (SIGPIPE).
    Interrupted(u8),
}

/// Where a guest's output goes.
pub type Output = Box<dyn Write + Send>;

/// Installs what guests need, or names it.
pub fn prepare() -> Result<()> {
    if !project::is_root() {
        return Err(message("guests need root: they share the host's files with their owners as they are"));
    }
    debian::ensure(TOOLS)
}

/// Runs a guest; [`prepare`] has been called.
pub fn run(guest: &Guest, outputs: [Output; 2]) -> Result<Ending> {
    let begin = Instant::now();
    let note = |text: &str| {
        if guest.verbose {
            eprintln!("xtask: {:6.2} s: {text}", begin.elapsed().as_secs_f64());
        }
    };
    stop_on_signals();
    let kernel = fetch(guest.kernel)?;
    let control = tempfile::Builder::new()
        .prefix("skep-guest-")
        .tempdir()
        .context(|| "make the control directory".to_owned())?;
    let control = control.path().canonicalize().map(|path| Control { path, _guard: control });
    let control = control.context(|| "find the control directory".to_owned())?;
    write_orders(guest, &kernel, &control)?;
    initramfs::build(&kernel, &control.file("initramfs"))?;
    let _share = Running(start_share(&control)?);
    note("the host's files are shared");

    let [(out, out_end), (err, err_end)] = [pipe()?, pipe()?];
    let mut qemu = Running(start_qemu(guest, &kernel, &control, [out_end, err_end])?);
    let [out_sink, err_sink] = outputs;
    let readers = [Reader::start(out, out_sink), Reader::start(err, err_sink)];
    note("QEMU runs");

    let report = control.file(orders::REPORT);
    let mut state = String::new();
    let ending = loop {
        if report.exists() {
            let report: Report = orders::read(&report)?;
            for (reader, expected) in readers.iter().zip(report.written) {
                reader.wait_for(expected)?;
            }
            note(&format!("the command ended; it began {:.1} s after the kernel", report.started));
            break Ending::Status(report.status);
        }
        if let Some(status) = qemu.0.try_wait().context(|| "wait for QEMU".to_owned())? {
            state = process::how_it_ended(status);
            // The last thing it did may have been to report.
            if !report.exists() {
                break Ending::Died(String::new());
            }
        }
        if begin.elapsed() > guest.timeout {
            break Ending::Timeout;
        }
        if readers.iter().any(|reader| reader.unheard.load(Ordering::Relaxed)) {
            break Ending::Interrupted(libc::SIGPIPE as u8);
        }
        match STOPPED_BY.load(Ordering::Relaxed) {
            0 => thread::sleep(PAUSE),
            signal => break Ending::Interrupted(u8::try_from(signal).unwrap_or(u8::MAX)),
        }
    };
    drop(qemu);
    for reader in readers {
        reader.finish();
    }
    let console = guest.console.clone().unwrap_or_else(|| control.file("console"));
    if guest.verbose {
        for line in read_lossy(&console).lines() {
            eprintln!("console: {line}");
        }
    }
    Ok(match ending {
        Ending::Died(_) => Ending::Died(post_mortem(&state, &control, &console)),
        other => other,
    })
}

/// The directory both sides see.
struct Control {
    path: PathBuf,
    _guard: tempfile::TempDir,
}

impl Control {
    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn write_orders(guest: &Guest, kernel: &Cached, control: &Control) -> Result<()> {
    let mut writable = Vec::new();
    for directory in &guest.writable {
        writable.push(directory.canonicalize().context(|| format!("find {}", directory.display()))?);
    }
    let mut load = Vec::new();
    load.extend(guest.disk.as_ref().map(|_| "virtio_blk".to_owned()));
    load.extend(guest.network.then(|| "virtio_net".to_owned()));
    load.extend(guest.modules.iter().cloned());
    let orders = Orders {
        hostname: format!("skep-{}", kernel.series),
        modules: kernel.modules()?,
        writable,
        load,
        network: guest.network,
        environment: guest.environment.clone(),
        directory: std::env::current_dir().context(|| "find the current directory".to_owned())?,
        command: guest.command.clone(),
    };
    orders::write(&control.file(orders::ORDERS), &orders)
}

/// Shares the host's root directory on a socket. There are two programs of that name: QEMU's own up to
/// Debian 12, and its successor with other options.
fn start_share(control: &Control) -> Result<Child> {
    let program = debian::path_of("virtiofsd")?;
    let version = Command::new(&program).arg("--version").output().context(|| "run virtiofsd".to_owned())?;
    let version = [version.stdout, version.stderr].concat();
    let is_old = String::from_utf8_lossy(&version).contains("FUSE kernel");
    let options: &[&str] = if is_old {
        &["-o", "source=/", "-o", "cache=auto", "-o", "sandbox=chroot"]
    } else {
        // An overlay cannot stand on directories that are announced as mount points.
        &["--shared-dir", "/", "--cache", "auto", "--sandbox", "none", "--no-announce-submounts"]
    };
    let socket = control.file("share");
    let log = control.file("virtiofsd.log");
    let (out, err) = log_file(&log)?;
    let mut command = Command::new(&program);
    command.arg(format!("--socket-path={}", socket.display())).args(options);
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = process::bind_to_parent(&mut command).spawn().context(|| "start virtiofsd".to_owned())?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !socket.exists() {
        let ended = child.try_wait().context(|| "wait for virtiofsd".to_owned())?.is_some();
        if ended || Instant::now() > deadline {
            let _ = child.kill();
            return Err(message(format!("virtiofsd did not start: {}", tail(&log, 5))));
        }
        thread::sleep(PAUSE);
    }
    Ok(child)
}

fn start_qemu(guest: &Guest, kernel: &Cached, control: &Control, ports: [OwnedFd; 2]) -> Result<Child> {
    let console = guest.console.clone().unwrap_or_else(|| control.file("console"));
    let quiet = if guest.verbose { "" } else { " quiet" };
    let memory = &guest.memory;
    let mut command = Command::new(debian::path_of("qemu-system-x86_64")?);
    let mut set = |name: &str, value: String| {
        command.arg(name).arg(value);
    };
    set("-accel", "tcg,thread=multi".to_owned());
    set("-cpu", CPU.to_owned());
    set("-smp", guest.cpus.to_string());
    set("-m", memory.clone());
    // The file share needs memory it can map.
    set("-object", format!("memory-backend-memfd,id=ram,size={memory},share=on"));
    set("-machine", "pc,memory-backend=ram".to_owned());
    set("-display", "none".to_owned());
    set("-kernel", kernel.image().display().to_string());
    set("-initrd", control.file("initramfs").display().to_string());
    set("-append", format!("{PARAMETERS}{quiet} {}{}", orders::CONTROL, control.path.display()));
    set("-serial", format!("file:{}", console.display()));
    set("-chardev", format!("socket,id=share,path={}", control.file("share").display()));
    set("-device", format!("vhost-user-fs-pci,chardev=share,tag={}", orders::SHARE));
    set("-device", "virtio-serial-pci".to_owned());
    for (name, port) in orders::PORTS.iter().zip(&ports) {
        // QEMU opens the inherited pipe anew by this path.
        set("-chardev", format!("file,id={name},path=/proc/self/fd/{}", port.as_raw_fd()));
        set("-device", format!("virtserialport,chardev={name},name={name}"));
    }
    if let Some(size) = &guest.disk {
        let disk = control.file("disk");
        let image = ["-s", size].map(str::to_owned);
        process::capture(Command::new("truncate").args(image).arg(&disk))?;
        set("-drive", format!("file={},if=virtio,format=raw,cache=unsafe", disk.display()));
    }
    if guest.network {
        set("-netdev", "user,id=net".to_owned());
        set("-device", "virtio-net-pci,netdev=net,romfile=".to_owned());
    }
    let (out, err) = log_file(&control.file("qemu.log"))?;
    command.args(["-nodefaults", "-no-user-config", "-no-reboot"]);
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    process::hand_over(&mut command, ports);
    process::bind_to_parent(&mut command).spawn().context(|| "start QEMU".to_owned())
}

/// A program that ends when it is no longer needed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Moves what comes through a pipe to where it goes, and counts it.
struct Reader {
    thread: thread::JoinHandle<()>,
    received: Arc<AtomicU64>,
    /// Set when what we pass the output on to has been closed.
    unheard: Arc<AtomicBool>,
}

impl Reader {
    fn start(mut pipe: PipeReader, mut sink: Output) -> Reader {
        let received = Arc::new(AtomicU64::new(0));
        let unheard = Arc::new(AtomicBool::new(false));
        let (count, closed) = (Arc::clone(&received), Arc::clone(&unheard));
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let bytes = buffer.get(..length).unwrap_or_default();
                if sink.write_all(bytes).and_then(|()| sink.flush()).is_err() {
                    closed.store(true, Ordering::Relaxed);
                }
                count.fetch_add(length as u64, Ordering::Release);
            }
        });
        Reader { thread, received, unheard }
    }

    /// Waits until that many bytes have come.
    fn wait_for(&self, expected: u64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.received.load(Ordering::Acquire) < expected {
            if Instant::now() > deadline {
                return Err(message("the guest's output did not arrive"));
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Waits for the pipe's end; nothing writes to it any more.
    fn finish(self) {
        let _ = self.thread.join();
    }
}

fn pipe() -> Result<(PipeReader, OwnedFd)> {
    let (reader, writer) = std::io::pipe().context(|| "make a pipe".to_owned())?;
    Ok((reader, writer.into()))
}

fn log_file(path: &Path) -> Result<(fs::File, fs::File)> {
    let file = fs::File::create(path).context(|| format!("create {}", path.display()))?;
    let other = file.try_clone().context(|| format!("open {}", path.display()))?;
    Ok((file, other))
}

fn post_mortem(state: &str, control: &Control, console: &Path) -> String {
    let mut text = format!("the guest ended without a report (QEMU: {state})");
    for (file, lines) in
        [(control.file("qemu.log"), 5), (console.into(), 15), (control.file("virtiofsd.log"), 5)]
    {
        let tail = tail(&file, lines);
        if !tail.is_empty() {
            text.push_str(&format!("\n{tail}"));
        }
    }
    text
}

fn tail(file: &Path, count: usize) -> String {
    let text = read_lossy(file);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(count)..).unwrap_or_default().join("\n")
}

fn read_lossy(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// The signal that told this process to stop, or 0.
static STOPPED_BY: AtomicI32 = AtomicI32::new(0);

/// Lets the usual signals end the guest before this process, which then cleans up.
fn stop_on_signals() {
    extern "C" fn note(signal: libc::c_int) {
        STOPPED_BY.store(signal, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
            unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
        }
    });
}
