#!/bin/sh
# The crate roxmltree 0.21.2 refuses the DOCTYPE that Adobe's policy examples begin with.
#
# Expected: an XML parser reads `<!DOCTYPE cross-domain-policy SYSTEM "…cross-domain-policy.dtd">`, or
# skips it, since it neither declares an entity nor is fetched.
# What happens: `Document::parse` fails with "XML with DTD detected" for every DOCTYPE. `allow_dtd` has to
# be set, and then the entities that a DOCTYPE declares count as well. The declared encoding, on the
# other hand, is ignored: a text that says UTF-16 and is UTF-8 is read.
# Why it matters: a policy tool that parses with the defaults calls the very files of Adobe's pages
# faulty; with `allow_dtd` a domain or a port may come from an entity, and whether the player expands
# it is its own matter. A false encoding has to be found by other means.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
rust_program 'roxmltree = "=0.21.2"' <<'END'
use roxmltree::{Document, ParsingOptions};

fn main() {
    let policy = "<cross-domain-policy><allow-access-from domain=\"*\" to-ports=\"9339\"/></cross-domain-policy>";
    let doctype = "<!DOCTYPE cross-domain-policy SYSTEM \"http://www.adobe.com/xml/dtds/cross-domain-policy.dtd\">";
    let root = |document: Document| document.root_element().tag_name().name().to_owned();
    let text = format!("{doctype}{policy}");
    println!("DOCTYPE: {:?}", Document::parse(&text).map(root).map_err(|e| e.to_string()));
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    println!("DOCTYPE, allow_dtd: {:?}", Document::parse_with_options(&text, options).map(root));
    let entity = "<!DOCTYPE cross-domain-policy [<!ENTITY game \"9339\">]><cross-domain-policy port=\"&game;\"/>";
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(entity, options).unwrap();
    println!("an entity, allow_dtd: {:?}", document.root_element().attribute("port"));
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{policy}");
    println!("said to be UTF-16: {:?}", Document::parse(&text).map(root));
}
END
"$PROGRAM" >seen
as_stated 'roxmltree 0.21.2' <<'END'
DOCTYPE: Err("XML with DTD detected")
DOCTYPE, allow_dtd: Ok("cross-domain-policy")
an entity, allow_dtd: Some("9339")
said to be UTF-16: Ok("cross-domain-policy")
END
