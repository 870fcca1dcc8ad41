use clap::CommandFactory;

use super::*;
use crate::cli::address::Listen;

/// A command line of one subcommand's arguments.
#[derive(Debug, Parser)]
struct Only<T: Args> {
    #[command(flatten)]
    args: T,
}

fn parse<T: Args>(args: &[&str]) -> Result<T, clap::Error> {
    Only::<T>::try_parse_from(std::iter::once("x").chain(args.iter().copied())).map(|o| o.args)
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
    Only::<RunArgs>::command().debug_assert();
    Only::<CheckArgs>::command().debug_assert();
    Only::<DemoArgs>::command().debug_assert();
    Only::<ProxyConfigArgs>::command().debug_assert();
}

#[test]
fn run_takes_several_paths_and_has_istios_ports() {
    let args: RunArgs = parse(&[
        "-f", "a", "b", "-f", "c", "--label", "app=x", "--label", "v=",
    ])
    .unwrap();
    assert_eq!(args.input.files, ["a", "b", "c"].map(PathBuf::from));
    assert_eq!(args.outbound.port(), 15001);
    assert_eq!(args.admin.port(), 15000);
    assert!(!args.strict && args.access_log.is_none());
    assert_eq!(args.drain, Duration::from_secs(5));
    let label = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    assert_eq!(args.identity.labels, [label("app", "x"), label("v", "")]);
}

#[test]
fn bad_flags_are_refused() {
    assert!(parse::<RunArgs>(&[]).is_err(), "-f is required");
    assert!(parse::<RunArgs>(&["-f", "a", "--drain", "soon"]).is_err());
    assert!(parse::<RunArgs>(&["-f", "a", "--workers", "0"]).is_err());
    assert!(parse::<RunArgs>(&["-f", "a", "--label", "app"]).is_err());
    assert!(parse::<CheckArgs>(&["-f", "a", "-o", "xml"]).is_err());
    assert!(parse::<ProxyConfigArgs>(&["rotues"]).is_err());
    assert!(parse::<MockArgs>(&["--answer", "nonsense"]).is_err());
}

#[test]
fn check_and_proxy_config_read_their_flags() {
    let args: CheckArgs = parse(&["-f", "mesh", "-o", "json", "--strict"]).unwrap();
    assert!(args.strict && args.output == CheckOutput::Json);
    let args: ProxyConfigArgs = parse(&["secret"]).unwrap();
    assert_eq!((args.part, args.output), (ConfigPart::Secret, Output::Text));
}

#[test]
fn mock_listens_where_it_is_told() {
    let args: MockArgs = parse(&["--listen", "1", "--listen", "2=b", "--answer", "503"]).unwrap();
    assert_eq!(args.listen.len(), 2);
    let args: MockArgs = parse(&[]).unwrap();
    assert_eq!(args.listen, ["127.0.0.1:9001".parse::<Listen>().unwrap()]);
    assert_eq!(args.answer, None);
}

#[test]
fn log_flags_stand_before_or_after_the_subcommand() {
    for line in [
        ["llmesh", "--log", "debug", "--log-format", "json", "mock"],
        ["llmesh", "mock", "--log", "debug", "--log-format", "json"],
    ] {
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.log.filter.as_deref(), Some("debug"));
        assert_eq!(cli.log.format, LogFormat::Json);
    }
}

#[test]
fn providers_need_no_files_and_say_where_the_own_address_goes() {
    let args: RunArgs = parse(&["--provider", "openai,groq", "--provider", "xai"]).unwrap();
    assert_eq!(args.input.providers.len(), 3);
    let (files, texts) = args.input.split().unwrap();
    let names: Vec<_> = texts.iter().map(|text| text.name.as_str()).collect();
    assert_eq!(
        (files.len(), names),
        (0, vec!["provider openai", "provider groq", "provider xai"])
    );
    let args: RunArgs = parse(&[
        "--outbound",
        "15009",
        "--admin",
        "localhost:15008",
        "-f",
        "a",
        "--default-host",
        "Api.Example.com:8080",
        "--own-name",
        "llmesh",
        "--resolve",
        "a.b:443:127.0.0.1:8443",
    ])
    .unwrap();
    assert_eq!(args.outbound, SocketAddr::from(([127, 0, 0, 1], 15009)));
    assert_eq!(args.admin, SocketAddr::from(([127, 0, 0, 1], 15008)));
    assert_eq!(
        args.own.default_host.as_deref(),
        Some("api.example.com:8080")
    );
    assert_eq!(
        (args.own.own_names, args.resolve.len()),
        (vec!["llmesh".to_owned()], 1)
    );
    let args: CheckArgs = parse(&["--provider", "openai"]).unwrap();
    assert_eq!(args.input.providers.len(), 1);
    for bad in [
        &["-f", "a", "--default-host", "http://x"][..],
        &["-f", "a", "--default-host", "x:http"],
        &["-f", "a", "--outbound", "http://x"],
        &["-f", "a", "--resolve", "x"],
        &["--provider", "opnai"],
    ] {
        assert!(parse::<RunArgs>(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_missing_or_wrong_names_the_way_out() {
    for (given, words) in [
        (&[][..], "--provider <NAME>"),
        (
            &["-f", "a", "--default-host", "https://api.openai.com/v1"],
            "without scheme or path, such as api.openai.com",
        ),
        (
            &["-f", "a", "--secrets", "/no/such/folder"],
            "there is no folder of this name",
        ),
    ] {
        let error = parse::<RunArgs>(given).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn an_upstream_proxy_is_shown_nowhere() {
    let url = "http://me:s3cret@proxy.example:3128";
    let args: RunArgs = parse(&["-f", "a", "--upstream-proxy", url]).unwrap();
    assert!(!format!("{args:?}").contains("s3cret"));
    let proxy = args.upstream_proxy.unwrap();
    assert!(proxy.read().is_ok_and(|proxy| !proxy.is_none()));
    let bad: RunArgs = parse(&["-f", "a", "--upstream-proxy", "socks5://me:s3cret@p"]).unwrap();
    let error = bad.upstream_proxy.unwrap().read().unwrap_err().to_string();
    assert!(
        error.contains("SOCKS") && !error.contains("s3cret"),
        "{error}"
    );
}
