//! The hub as the environment describes it, read as Python's library reads it.

use super::Hub;
use std::path::PathBuf;

/// Values by name.
type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables that may name a proxy, in the order in which they are asked.
const PROXIES: [&str; 6] = ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];

/// A path with `~`, `$NAME` and `${NAME}` filled in, as a shell would: systemd and desktop files do not.
fn expand(text: &str, variables: Variables<'_>) -> PathBuf {
    let home =
        || variables("HOME").or_else(|| directories::BaseDirs::new().map(|d| d.home_dir().display().to_string()));
    let mut text = text.trim().to_owned();
    if (text == "~" || text.starts_with("~/"))
        && let Some(home) = home()
    {
        text.replace_range(..1, &home);
    }
    let (mut out, mut rest) = (String::new(), text.as_str());
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let length = after.find(|c| !is_name(c)).unwrap_or(after.len());
                (&after[..length], length)
            }
        };
        match variables(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..at + 1 + length]),
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    PathBuf::from(out)
}

/// What the environment says.
pub(super) fn hub(variables: Variables<'_>) -> Hub {
    let var = |name: &str| variables(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let usual = || directories::BaseDirs::new().map(|d| d.cache_dir().join("huggingface"));
    let home = var("HF_HOME").map(|text| expand(&text, variables)).or_else(usual);
    let home = home.unwrap_or_else(|| std::env::temp_dir().join("huggingface"));
    let cache = var("HF_HUB_CACHE").map_or_else(|| home.join("hub"), |text| expand(&text, variables));
    let at = var("HF_TOKEN_PATH").map_or_else(|| home.join("token"), |text| expand(&text, variables));
    let stored = || std::fs::read_to_string(at).ok();
    // A token has no white space; a copied one often has.
    let token = var("HF_TOKEN").or_else(stored).map(|t| t.split_whitespace().collect::<String>());
    let token = token.filter(|t| !t.is_empty());
    let offline =
        var("HF_HUB_OFFLINE").is_some_and(|v| !["0", "false", "no", "off"].contains(&v.to_lowercase().as_str()));
    let endpoint = var("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
    Hub { offline, token, ..Hub::new(&endpoint, cache) }
}

/// The proxy that is in the way, without its password, and the variable that names it.
pub(super) fn proxy() -> Option<(String, &'static str)> {
    let (name, value) =
        PROXIES.into_iter().find_map(|n| std::env::var(n).ok().filter(|v| !v.trim().is_empty()).map(|v| (n, v)))?;
    let shown = match value.rsplit_once('@') {
        Some((before, host)) => format!("{}{host}", before.split_once("://").map_or("", |_| "http://")),
        None => value,
    };
    Some((format!("'{}'", shown.escape_debug()), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn paths_and_tokens_are_read_as_a_shell_and_python_would() {
        let folder = tempfile::tempdir().expect("folder");
        std::fs::write(folder.path().join("own"), " hf_stored\n").expect("token");
        let at = folder.path().join("own").display().to_string();
        let hub_of = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            hub(&move |name| pairs.iter().find(|p| p.0 == name).map(|p| p.1.clone()))
        };
        let home = hub_of(&[("HOME", "/home/u"), ("HF_HOME", "~/hf"), ("HF_TOKEN", " hf_x \n")]);
        assert_eq!(home.cache(), Path::new("/home/u/hf/hub"));
        assert_eq!(home.token.as_deref(), Some("hf_x"));
        let home = hub_of(&[("HOME", "/home/u"), ("HF_HOME", "$HOME/a"), ("HF_HUB_CACHE", "${HOME}/b/$none")]);
        assert_eq!(home.cache(), Path::new("/home/u/b/$none"));
        assert_eq!(hub_of(&[("HF_TOKEN_PATH", &at)]).token.as_deref(), Some("hf_stored"));
        assert!(hub_of(&[("HF_HUB_OFFLINE", "1")]).is_offline() && !hub_of(&[("HF_HUB_OFFLINE", " 0 ")]).is_offline());
    }
}
