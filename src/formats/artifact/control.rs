//! The control paragraph of a binary package (deb-control(5), Debian Policy 5.3, dak's checks).
//!
//! The text is kept verbatim for the indices; what decides about the package's place is read from it and checked. The
//! file's name must be the one that dpkg gives: package, version without epoch, architecture.

use crate::words::deb822::Paragraph;
use crate::words::name::{Architecture, Component, FileName, PackageName, SourceName};
use crate::words::version::Version;

use super::fields::{self, FieldError, malformed, need};

/// Fields that Packages alone sets and a package may not.
const RESERVED: [&str; 2] = ["Description-md5", "MSDOS-Filename"];

/// Why a control text or its file's name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A field.
    #[error("control")]
    Field(#[from] FieldError),
    /// The file's name and the control file disagree.
    #[error("its control file says that its name should be {expected}")]
    FileName {
        /// The name that dpkg gives.
        expected: String,
    },
    /// The file's ending and `Package-Type` disagree.
    #[error("its control file says Package-Type: {package_type}, so its name should end in .{package_type}")]
    PackageType {
        /// The value.
        package_type: String,
    },
}

/// A binary package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// The control paragraph verbatim, one newline at its end.
    pub control: String,
    /// `Package`
    pub package: PackageName,
    /// `Version`
    pub version: Version,
    /// `Architecture`
    pub architecture: Architecture,
    /// The source package; the package itself where `Source` is missing.
    pub source: SourceName,
    /// The source's version; the package's own where `Source` gives none.
    pub source_version: Version,
    /// `Section`, one word.
    pub section: Option<String>,
    /// `Priority`, one word.
    pub priority: Option<String>,
    /// The component that `Section` names, else `main`.
    pub component: Component,
    /// For the installer: `.udeb` or `Package-Type: udeb`.
    pub udeb: bool,
    /// Debug symbols that were split off: `Auto-Built-Package: debug-symbols` or `.ddeb`.
    pub debug_symbols: bool,
}

impl Binary {
    /// Reads a control text and checks that it belongs into a file of this name.
    ///
    /// # Errors
    /// The first fault: not one paragraph, a field that is missing, reserved or malformed, or another file name.
    pub fn parse(control: String, file: &FileName) -> Result<Self, ControlError> {
        let paragraph = fields::paragraph(&control)?;
        fields::check_all(&paragraph, &RESERVED)?;
        let package: PackageName = fields::name("Package", need(&paragraph, "Package")?)?;
        let version = fields::version("Version", need(&paragraph, "Version")?)?;
        let architecture: Architecture = fields::name("Architecture", need(&paragraph, "Architecture")?)?;
        need(&paragraph, "Maintainer")?;
        need(&paragraph, "Description")?;
        let (source, source_version) = match paragraph.get("Source") {
            Some(text) => fields::source(text)?,
            None => (SourceName::from(&package), None),
        };
        let section = fields::word(&paragraph, "Section")?.map(str::to_owned);
        let priority = fields::word(&paragraph, "Priority")?.map(str::to_owned);
        check_choice(&paragraph, "Multi-Arch", &["no", "same", "foreign", "allowed"])?;
        check_choice(&paragraph, "Essential", &["yes", "no"])?;
        let component =
            Component::of_section(section.as_deref().unwrap_or_default()).map_err(|fault| FieldError::Name { field: "Section", fault })?;
        let ending = check_file_name(file, &package, &version, &architecture)?;
        let package_type = paragraph.get("Package-Type");
        if let Some(package_type @ ("udeb" | "ddeb")) = package_type
            && package_type != ending
        {
            return Err(ControlError::PackageType { package_type: package_type.to_owned() });
        }
        let debug_symbols = ending == "ddeb" || paragraph.get("Auto-Built-Package") == Some("debug-symbols");
        let udeb = ending == "udeb";
        let source_version = source_version.unwrap_or_else(|| version.clone());
        Ok(Self { package, version, architecture, source, source_version, section, priority, component, udeb, debug_symbols, control })
    }
}

fn check_choice(paragraph: &Paragraph<'_>, field: &'static str, choices: &[&str]) -> Result<(), FieldError> {
    match paragraph.get(field) {
        Some(text) if !choices.contains(&text) => Err(malformed(field, text, "is not a value that dpkg knows")),
        _ => Ok(()),
    }
}

/// Checks the file's name and returns its ending without dot.
fn check_file_name<'a>(
    file: &'a FileName,
    package: &PackageName,
    version: &Version,
    architecture: &Architecture,
) -> Result<&'a str, ControlError> {
    let (stem, ending) = file.as_str().rsplit_once('.').unwrap_or((file.as_str(), ""));
    let expected = format!("{package}_{}_{architecture}", version.without_epoch());
    if stem == expected && ["deb", "udeb", "ddeb"].contains(&ending) {
        Ok(ending)
    } else {
        let ending = if ["udeb", "ddeb"].contains(&ending) { ending } else { "deb" };
        Err(ControlError::FileName { expected: format!("{expected}.{ending}") })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::specimens::{CONTROL, chain};
    use super::*;

    fn parse(control: &str, file: &str) -> Result<Binary, ControlError> {
        Binary::parse(control.to_owned(), &file.parse().unwrap())
    }

    #[test]
    fn what_a_control_file_says() {
        let binary = parse(CONTROL, "hello_1.0-1_amd64.deb").unwrap();
        assert_eq!(binary.control, CONTROL);
        assert_eq!((binary.source.as_str(), binary.source_version.as_str()), ("hello", "1.0-1"));
        assert_eq!((binary.component.as_str(), binary.section.as_deref()), ("main", Some("devel")));
        assert!(!binary.udeb && !binary.debug_symbols);

        let control = "Package: x1-udeb\nSource: x (1:2-3)\nVersion: 1:2-3+b1\nArchitecture: all\nSection: contrib/net\n\
            Package-Type: udeb\nMaintainer: x\nDescription: y\n";
        let binary = parse(control, "x1-udeb_2-3+b1_all.udeb");
        assert_eq!(
            chain(&binary.unwrap_err()),
            "control: Source: \"x\" is not a valid source name: two or more of a-z 0-9 + - . beginning with a letter or digit"
        );
        let binary = parse(&control.replace("Source: x ", "Source: xx "), "x1-udeb_2-3+b1_all.udeb").unwrap();
        assert_eq!((binary.source.as_str(), binary.source_version.as_str()), ("xx", "1:2-3"));
        assert_eq!((binary.version.as_str(), binary.component.as_str()), ("1:2-3+b1", "contrib"));
        assert!(binary.udeb);

        let debug = format!("{CONTROL}Auto-Built-Package: debug-symbols\n");
        assert!(parse(&debug, "hello_1.0-1_amd64.deb").unwrap().debug_symbols);
        assert!(parse(CONTROL, "hello_1.0-1_amd64.ddeb").unwrap().debug_symbols);
    }

    #[test]
    fn a_file_name_that_disagrees_is_refused() {
        for bad in ["hello_1.0-1_all.deb", "hello_1.0_amd64.deb", "hallo_1.0-1_amd64.deb", "hello_1.0-1_amd64.rpm", "hello"] {
            let expected = ControlError::FileName { expected: "hello_1.0-1_amd64.deb".to_owned() };
            assert_eq!(parse(CONTROL, bad).unwrap_err(), expected, "{bad}");
        }
        let udeb = format!("{CONTROL}Package-Type: udeb\n");
        assert_eq!(parse(&udeb, "hello_1.0-1_amd64.deb").unwrap_err(), ControlError::PackageType { package_type: "udeb".to_owned() });
    }

    #[test]
    fn a_refusal_names_the_field() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(CONTROL.contains(from));
            let fault = parse(&CONTROL.replace(from, to), "hello_1.0-1_amd64.deb").unwrap_err();
            assert_eq!(chain(&fault), format!("control: {expected}"));
        };
        let name = "two or more of a-z 0-9 + - . beginning with a letter or digit";
        check("Package: hello\n", "", "the field Package is missing or empty");
        check("Version: 1.0-1\n", "Version:\n", "the field Version is missing or empty");
        check("Architecture: amd64\n", "", "the field Architecture is missing or empty");
        check("Maintainer", "X-Maintainer", "the field Maintainer is missing or empty");
        check("Description: says hello\n Long text.\n", "", "the field Description is missing or empty");
        check("Package: hello", "Package: ../../hx", &format!("Package: \"../../hx\" is not a valid package name: {name}"));
        check("Package: hello", "Package: Hello", &format!("Package: \"Hello\" is not a valid package name: {name}"));
        check("1.0-1", "1.0/1", "Version: \"1.0/1\" is not a valid version: only letters, digits and . + - ~ may follow the epoch");
        check(
            "amd64",
            "any",
            "Architecture: \"any\" is not a valid architecture: a-z 0-9 and - beginning with a letter or digit, not \"source\" or a wildcard",
        );
        check(
            "amd64",
            "source",
            "Architecture: \"source\" is not a valid architecture: a-z 0-9 and - beginning with a letter or digit, not \"source\" or a wildcard",
        );
        check(
            "Section: devel",
            "Section: ../devel",
            "Section: \"..\" is not a valid component: letters, digits, + - . _ beginning with a letter or digit; not \"source\"",
        );
        check("Section: devel", "Section: de vel", "Section \"de vel\" is not one word of letters, digits and + - . / _ ~");
        check("Priority: optional", "Priority:", "the field Priority is missing or empty");
    }

    #[test]
    fn more_refusals_name_the_field() {
        let check = |added: &str, expected: &str| {
            let fault = parse(&format!("{CONTROL}{added}\n"), "hello_1.0-1_amd64.deb").unwrap_err();
            assert_eq!(chain(&fault), format!("control: {expected}"));
        };
        check("Source: a/b", "Source: \"a/b\" is not a valid source name: two or more of a-z 0-9 + - . beginning with a letter or digit");
        check("Source: ab 1", "Source \"ab 1\" is not \"name\" or \"name (version)\"");
        check("Source: ab (1", "Source \"ab (1\" is not \"name\" or \"name (version)\"");
        check("Source:", "Source: \"\" is not a valid source name: two or more of a-z 0-9 + - . beginning with a letter or digit");
        check("Depends:", "Depends is empty; leave it out instead");
        check("Depends: a b", "Depends: \"a b\" goes on where it should end");
        check("Multi-Arch: maybe", "Multi-Arch \"maybe\" is not a value that dpkg knows");
        for field in RESERVED.iter().chain(&fields::RESERVED) {
            let expected = format!("the field {} belongs to the archive's indices and may not be set by a package", field.to_lowercase());
            check(&format!("{}: x", field.to_lowercase()), &expected);
        }
        check("Section: net", "line 9 repeats the field Section");
        check("package: other", "line 9 repeats the field package");
        let many: String = (0..2000).map(|number| format!("X{number}: y\n")).collect();
        check(many.trim_end(), "it has more than 2000 fields");
        check("\nPackage: second", "line 10 begins a second paragraph");
        check("X: \r", "line 9 holds a carriage return");
        check("X: \0", "line 9 holds a NUL byte");
    }
}
