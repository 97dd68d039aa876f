//! Shows mistakes in configuration and policy files: file, line, the text underlined, what would help.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::config::problem::{Problem, Problems};

/// All of them as one text, in the manner of rustc.
#[must_use]
pub(crate) fn render(problems: &Problems, color: bool) -> String {
    let renderer = if color {
        Renderer::styled().decor_style(DecorStyle::Unicode)
    } else {
        Renderer::plain()
    };
    let shown: Vec<String> = problems.iter().map(|p| one(&renderer, p)).collect();
    shown.join("\n\n")
}

fn one(renderer: &Renderer, problem: &Problem) -> String {
    let message = annotate_snippets::normalize_untrusted_str(&problem.message);
    let hint = problem
        .hint
        .as_deref()
        .map(annotate_snippets::normalize_untrusted_str);
    let snippet = Snippet::source(&*problem.text)
        .path(problem.file.as_str())
        .annotation(AnnotationKind::Primary.span(problem.span.clone()));
    let mut group = Level::ERROR
        .primary_title(message.as_str())
        .element(snippet);
    if let Some(hint) = &hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    renderer.render(&[group])
}
