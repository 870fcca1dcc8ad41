use clap::CommandFactory;

use super::*;

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
    assert!(args.strict && args.output == Output::Json);
    let args: ProxyConfigArgs = parse(&["secret"]).unwrap();
    assert_eq!((args.part, args.output), (ConfigPart::Secret, Output::Text));
}

#[test]
fn mock_listens_where_it_is_told() {
    let listen = |text: &str| text.parse::<Listen>();
    let at = |address: &str, label: Option<&str>| {
        Ok(Listen {
            address: address.parse().unwrap(),
            label: label.map(str::to_owned),
        })
    };
    assert_eq!(
        listen("127.0.0.1:9001=v1"),
        at("127.0.0.1:9001", Some("v1"))
    );
    assert_eq!(listen("[::1]:9001"), at("[::1]:9001", None));
    assert_eq!(listen("9001=v2"), at("127.0.0.1:9001", Some("v2")));
    for bad in [
        "",
        "localhost:9001",
        "127.0.0.1",
        "9001=",
        "9001=a b",
        "70000",
    ] {
        assert!(listen(bad).is_err(), "{bad}");
    }
    let args: MockArgs = parse(&["--listen", "1", "--listen", "2=b", "--answer", "503"]).unwrap();
    assert_eq!(args.listen.len(), 2);
    let args: MockArgs = parse(&[]).unwrap();
    assert_eq!(args.listen, [listen("127.0.0.1:9001").unwrap()]);
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
