//! What a CI job says of itself: repository, branch, commit, job, runner and image, from the variables of GitLab and GitHub.
//!
//! These are claims of whoever runs the job. They are information until somebody signs them.

use crate::words::digest::Sha256;

/// Longest value in bytes.
const LONGEST: usize = 2000;

/// What is said of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Who built: an address that means a runner, or a kind of runners.
    pub builder: Option<String>,
    /// Address of the repository that was built.
    pub repository: Option<String>,
    /// Its branch or tag, whole: `refs/heads/main`.
    pub reference: Option<String>,
    /// Its commit.
    pub commit: Option<String>,
    /// Address of the job.
    pub job: Option<String>,
    /// When the job began, RFC 3339.
    pub started: Option<String>,
    /// The image that it ran in.
    pub image: Option<Image>,
}

/// An image of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name, with registry and tag, without digest.
    pub name: String,
    /// Its digest, where the name had one.
    pub sha256: Option<Sha256>,
}

impl Image {
    /// Reads a name such as `registry.example/build:1@sha256:…`.
    ///
    /// # Errors
    /// What stands behind `@` is no SHA-256.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((name, digest)) = text.split_once('@') else { return Ok(Self { name: text.to_owned(), sha256: None }) };
        let sha256 = digest.strip_prefix("sha256:").and_then(|digest| digest.parse().ok());
        let wrong = || format!("\"{}\" has no sha256:… behind its @", text.escape_debug());
        Ok(Self { name: name.to_owned(), sha256: Some(sha256.ok_or_else(wrong)?) })
    }
}

impl Claims {
    /// Returns what the variables of a CI job say, `None` outside of one. `variable` gives a value that is set and not empty.
    ///
    /// # Errors
    /// A value is too long, has control characters, or names no image; it is named by its variable.
    pub fn of_job(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let text = |name: &str| checked(name, variable(name));
        let is = |name: &str| variable(name).as_deref() == Some("true");
        if is("GITLAB_CI") {
            return Self::of_gitlab(&text).map(Some);
        }
        if is("GITHUB_ACTIONS") {
            return Self::of_github(&text).map(Some);
        }
        Ok(None)
    }

    /// Returns these, and those where nothing is said here.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            builder: self.builder.or(others.builder),
            repository: self.repository.or(others.repository),
            reference: self.reference.or(others.reference),
            commit: self.commit.or(others.commit),
            job: self.job.or(others.job),
            started: self.started.or(others.started),
            image: self.image.or(others.image),
        }
    }

    /// GitLab's predefined CI/CD variables.
    fn of_gitlab(text: &dyn Fn(&str) -> Result<Option<String>, String>) -> Result<Self, String> {
        let repository = text("CI_PROJECT_URL")?;
        let (tag, branch) = (text("CI_COMMIT_TAG")?, text("CI_COMMIT_BRANCH")?);
        let reference = match (tag, branch) {
            (Some(tag), _) => Some(format!("refs/tags/{tag}")),
            (None, Some(branch)) => Some(format!("refs/heads/{branch}")),
            (None, None) => text("CI_MERGE_REQUEST_REF_PATH")?,
        };
        let runner = text("CI_RUNNER_ID")?;
        Ok(Self {
            builder: repository.as_ref().zip(runner).map(|(repository, runner)| format!("{repository}/-/runners/{runner}")),
            repository,
            reference,
            commit: text("CI_COMMIT_SHA")?,
            job: text("CI_JOB_URL")?,
            started: text("CI_JOB_STARTED_AT")?,
            image: image(text("CI_JOB_IMAGE")?),
        })
    }

    /// GitHub's default environment variables.
    fn of_github(text: &dyn Fn(&str) -> Result<Option<String>, String>) -> Result<Self, String> {
        let repository = text("GITHUB_SERVER_URL")?.zip(text("GITHUB_REPOSITORY")?).map(|(server, name)| format!("{server}/{name}"));
        let run = text("GITHUB_RUN_ID")?.zip(Some(text("GITHUB_RUN_ATTEMPT")?.unwrap_or_else(|| "1".to_owned())));
        let job =
            repository.as_ref().zip(run).map(|(repository, (run, attempt))| format!("{repository}/actions/runs/{run}/attempts/{attempt}"));
        Ok(Self {
            builder: text("RUNNER_ENVIRONMENT")?.map(|kind| format!("https://github.com/actions/runner/{kind}")),
            repository,
            reference: text("GITHUB_REF")?,
            commit: text("GITHUB_SHA")?,
            job,
            started: None,
            image: None,
        })
    }
}

/// Returns an image by its name; one with a digest that is none has no digest.
fn image(text: Option<String>) -> Option<Image> {
    text.map(|text| Image::parse(&text).unwrap_or(Image { name: text, sha256: None }))
}

fn checked(name: &str, value: Option<String>) -> Result<Option<String>, String> {
    match value {
        Some(value) if value.len() > LONGEST => Err(format!("{name} has {} bytes, more than {LONGEST}", value.len())),
        Some(value) if value.chars().any(char::is_control) => Err(format!("{name} holds a line break or another control character")),
        value => Ok(value),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<Claims>, String> {
        Claims::of_job(&|name| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn gitlabs_variables_are_understood() {
        let digest = Sha256::of(b"image").to_hex();
        let image = format!("registry.example/build:1@sha256:{digest}");
        let mut variables = vec![
            ("GITLAB_CI", "true"),
            ("CI_PROJECT_URL", "https://git.example/debian/hello"),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_COMMIT_SHA", "12"),
            ("CI_JOB_URL", "https://git.example/debian/hello/-/jobs/9"),
            ("CI_RUNNER_ID", "7"),
            ("CI_JOB_IMAGE", &image),
        ];
        let claims = of(&variables).unwrap().unwrap();
        assert_eq!(claims.builder.as_deref(), Some("https://git.example/debian/hello/-/runners/7"));
        assert_eq!(claims.reference.as_deref(), Some("refs/heads/main"));
        assert_eq!(claims.image, Some(Image { name: "registry.example/build:1".to_owned(), sha256: Some(Sha256::of(b"image")) }));
        variables.push(("CI_COMMIT_TAG", "v1"));
        assert_eq!(of(&variables).unwrap().unwrap().reference.as_deref(), Some("refs/tags/v1"));
        variables.insert(0, ("CI_COMMIT_SHA", "1\n2"));
        assert!(of(&variables).unwrap_err().starts_with("CI_COMMIT_SHA holds a line break"));
    }

    #[test]
    fn githubs_variables_are_understood() {
        let claims = of(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_REF", "refs/pull/3/merge"),
            ("GITHUB_SHA", "12"),
            ("GITHUB_RUN_ID", "99"),
            ("RUNNER_ENVIRONMENT", "self-hosted"),
        ]);
        let claims = claims.unwrap().unwrap();
        assert_eq!(claims.repository.as_deref(), Some("https://github.com/a/b"));
        assert_eq!(claims.job.as_deref(), Some("https://github.com/a/b/actions/runs/99/attempts/1"));
        assert_eq!(claims.builder.as_deref(), Some("https://github.com/actions/runner/self-hosted"));
    }

    #[test]
    fn outside_of_a_job_nothing_is_said() {
        assert_eq!(of(&[("CI_COMMIT_SHA", "12"), ("GITLAB_CI", "false")]), Ok(None));
        assert!(Image::parse("a@sha256:12").is_err() && Image::parse("a@b").is_err());
        assert_eq!(Image::parse("a:1").unwrap().sha256, None);
    }
}
