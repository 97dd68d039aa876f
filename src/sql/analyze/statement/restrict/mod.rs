//! Whether a `WHERE` restricts: `WHERE true`, `WHERE 1 = 1`, `WHERE id = id` do not.
//!
//! Reading order: this file (what is certain) → `value` (what is known of values) → `same` (the same by their text).

mod same;
mod value;

use crate::sql::analyze::context::Analyzer;
use crate::sql::analyze::query::names::{Env, Nature};
use crate::sql::analyze::statement::restrict::value::{
    all_percent, boolean, constants, decided, literal_truth, matches_all, not_negative, number,
    text,
};
use crate::sql::catalog::Relation;
use crate::sql::parse::nodes::{
    A_Expr_Kind, BoolExprType, NullTestType, SetOperation, SubLinkType,
};
use crate::sql::parse::{Node, nodes};

/// What is certain about a condition without looking at rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    /// True for every row, or for every row where nothing is NULL.
    Always,
    /// True for no row.
    Never,
    /// It depends on the row.
    Depends,
}

impl Analyzer<'_> {
    /// Whether a condition leaves out rows, as far as the text can say it. `env` holds the relation, and what stands beside it.
    pub(in crate::sql) fn restricts(
        &self,
        node: Node<'_>,
        relation: &Relation,
        env: &Env<'_>,
    ) -> bool {
        if matches!(node, Node::None) {
            return false;
        }
        let mut condition = Condition {
            relation,
            own: vec![relation.name.name.clone()],
            others: Vec::new(),
        };
        for item in &env.items {
            let mut columns = item
                .fields
                .iter()
                .flat_map(|field| field.value.origin.columns());
            let itself = item.nature == Nature::Stored
                && columns.any(|column| column.relation == relation.oid);
            let names = if itself {
                &mut condition.own
            } else {
                &mut condition.others
            };
            names.push(item.name.clone());
        }
        condition.truth(node, 0) != Truth::Always
    }
}

struct Condition<'r> {
    relation: &'r Relation,
    /// What the relation is called, also where it stands beside itself.
    own: Vec<String>,
    /// What other relations are called.
    others: Vec<String>,
}

impl Condition<'_> {
    fn truth(&self, node: Node<'_>, depth: u16) -> Truth {
        if depth > 200 {
            return Truth::Depends;
        }
        let deeper = |inner: Node<'_>| self.truth(inner, depth.saturating_add(1));
        match node {
            Node::CurrentOfExpr(_) => Truth::Depends,
            Node::BoolExpr(expression) => {
                let mut parts = expression.args().iter().map(deeper);
                match expression.boolop {
                    BoolExprType::AND_EXPR => parts.fold(Truth::Always, and),
                    BoolExprType::OR_EXPR if self.complementary(expression.args()) => Truth::Always,
                    BoolExprType::OR_EXPR => parts.fold(Truth::Never, or),
                    _ => parts.next().map_or(Truth::Depends, not),
                }
            }
            Node::NullTest(test) => self.null_test(test),
            Node::BooleanTest(test) => self.boolean_test(test, depth),
            Node::TypeCast(cast) => match literal_truth(cast.arg()) {
                Some(truth) => truth,
                None => deeper(cast.arg()),
            },
            Node::A_Const(_) => literal_truth(node).unwrap_or(Truth::Always),
            Node::A_Expr(expression) => self.operator(expression, depth),
            // The first that is not NULL: an always is never NULL unless its columns are.
            Node::CoalesceExpr(coalesce) => coalesce.args().first().map_or(Truth::Depends, deeper),
            Node::CaseExpr(case) => self.case(case, depth),
            Node::SubLink(link) => self.sublink(link, depth),
            _ => self.by_columns(node),
        }
    }

    fn boolean_test(&self, test: &nodes::BooleanTest, depth: u16) -> Truth {
        use nodes::BoolTestType as Test;
        if test.booltesttype == Test::IS_NOT_UNKNOWN && self.is_never_null(test.arg(), 0) {
            return Truth::Always;
        }
        match self.truth(test.arg(), depth.saturating_add(1)) {
            // `(a = a) IS NOT FALSE`: true of an always, and of NULL.
            Truth::Always
                if matches!(
                    test.booltesttype,
                    Test::IS_TRUE | Test::IS_NOT_FALSE | Test::IS_NOT_UNKNOWN
                ) =>
            {
                Truth::Always
            }
            Truth::Never if matches!(test.booltesttype, Test::IS_FALSE | Test::IS_NOT_TRUE) => {
                Truth::Always
            }
            _ => self.by_columns(Node::BooleanTest(test)),
        }
    }

    fn case(&self, case: &nodes::CaseExpr, depth: u16) -> Truth {
        let deeper = |inner: Node<'_>| self.truth(inner, depth.saturating_add(1));
        if let Some(Node::CaseWhen(first)) = case.args().first()
            && matches!(case.arg(), Node::None)
            && deeper(first.expr()) == Truth::Always
        {
            return deeper(first.result());
        }
        let results = case.args().iter().filter_map(|when| match when {
            Node::CaseWhen(when) => Some(when.result()),
            _ => None,
        });
        let mut all = results.chain(std::iter::once(case.defresult()));
        if all.all(|result| deeper(result) == Truth::Always) {
            Truth::Always
        } else {
            Truth::Depends
        }
    }

    /// A condition that names no column at all is the same for every row.
    fn by_columns(&self, node: Node<'_>) -> Truth {
        if self.mentions_column(node, 0) {
            Truth::Depends
        } else {
            Truth::Always
        }
    }

    fn null_test(&self, test: &nodes::NullTest) -> Truth {
        match (test.nulltesttype, self.is_never_null(test.arg(), 0)) {
            (NullTestType::IS_NOT_NULL, true) => Truth::Always,
            (_, true) => Truth::Never,
            _ => self.by_columns(test.arg()),
        }
    }

    fn operator(&self, expression: &nodes::A_Expr, depth: u16) -> Truth {
        let name = last(expression).unwrap_or_default();
        let (left, right) = (expression.lexpr(), expression.rexpr());
        let found = match expression.kind {
            A_Expr_Kind::AEXPR_OP => self.comparison(name, (left, right), depth),
            A_Expr_Kind::AEXPR_NOT_DISTINCT => self.comparison("=", (left, right), depth),
            A_Expr_Kind::AEXPR_DISTINCT => match right {
                Node::A_Const(constant) if constant.isnull => {
                    self.is_never_null(left, 0).then_some(Truth::Always)
                }
                _ => self.comparison("<>", (left, right), depth),
            },
            A_Expr_Kind::AEXPR_IN => self.among(name, left, right),
            A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL => self.elements(expression),
            A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE | A_Expr_Kind::AEXPR_SIMILAR => {
                let pattern = match right {
                    Node::FuncCall(call) => call.args().first().unwrap_or(Node::None),
                    other => other,
                };
                let all = all_percent(pattern) || self.same(left, right, 0);
                let matches = if name.starts_with('!') {
                    Truth::Never
                } else {
                    Truth::Always
                };
                all.then_some(matches)
            }
            _ => {
                let bounds = right.as_node_list();
                let itself = bounds.is_some_and(|list| {
                    list.len() == 2 && list.iter().all(|node| self.same(left, node, 0))
                });
                itself.then_some(Truth::Always)
            }
        };
        found.unwrap_or_else(|| self.by_columns(Node::A_Expr(expression)))
    }

    fn comparison(
        &self,
        name: &str,
        (left, right): (Node<'_>, Node<'_>),
        depth: u16,
    ) -> Option<Truth> {
        if self.same(left, right, 0) {
            return Some(match name {
                "=" | "<=" | ">=" | "~~" | "~~*" | "^@" => Truth::Always,
                "<>" | "!=" | "<" | ">" => Truth::Never,
                _ => Truth::Depends,
            });
        }
        if let Some(order) = constants(left, right) {
            return Some(decided(name, order));
        }
        // `(a = a) = true`
        for (side, other) in [(left, right), (right, left)] {
            if let Some(truth) = boolean(other) {
                let inner = self.truth(side, depth.saturating_add(1));
                return match name {
                    "=" => Some(if truth { inner } else { not(inner) }),
                    "<>" | "!=" => Some(if truth { not(inner) } else { inner }),
                    _ => None,
                };
            }
        }
        if matches!(name, "=" | "<=" | ">=") && self.is_of_one_column(left, right) {
            return Some(Truth::Always);
        }
        if not_negative(left)
            && let Some(bound) = number(right, 0)
        {
            return Some(match name {
                ">=" | "<>" | "!=" if bound <= 0.0 && name == ">=" || bound < 0.0 => Truth::Always,
                ">" if bound < 0.0 => Truth::Always,
                "<" if bound <= 0.0 => Truth::Never,
                _ => Truth::Depends,
            });
        }
        let all = match name {
            "~" | "~*" => text(right).is_some_and(|pattern| matches_all(&pattern)),
            "~~" | "~~*" => all_percent(right),
            "^@" => text(right).is_some_and(|prefix| prefix.is_empty()),
            _ => false,
        };
        all.then_some(Truth::Always)
    }

    fn among(&self, name: &str, left: Node<'_>, right: Node<'_>) -> Option<Truth> {
        let list = right.as_node_list()?;
        let itself = list.iter().any(|node| self.same(left, node, 0));
        let holds = |truth: bool| list.iter().any(|node| boolean(node) == Some(truth));
        let both = holds(true) && holds(false) && self.is_never_null(left, 0);
        ((itself || both) && name == "=").then_some(Truth::Always)
    }

    /// `x = ANY (ARRAY[…])`
    fn elements(&self, expression: &nodes::A_Expr) -> Option<Truth> {
        let mut array = expression.rexpr();
        while let Node::TypeCast(cast) = array {
            array = cast.arg();
        }
        let all = expression.kind == A_Expr_Kind::AEXPR_OP_ALL;
        let empty = if all { Truth::Always } else { Truth::Never };
        let Node::A_ArrayExpr(array) = array else {
            return text(array)
                .is_some_and(|text| text == "{}")
                .then_some(empty);
        };
        let mut elements = array.elements().iter();
        if array.elements().is_empty() {
            return Some(empty);
        }
        let same = |node| self.same(expression.lexpr(), node, 0);
        let itself = if all {
            elements.all(same)
        } else {
            elements.any(same)
        };
        (itself && last(expression) == Some("=")).then_some(Truth::Always)
    }

    /// What a subquery tells without being run.
    fn sublink(&self, link: &nodes::SubLink, depth: u16) -> Truth {
        let Node::SelectStmt(select) = link.subselect() else {
            return Truth::Depends;
        };
        let (rows, elsewhere) = self.rows(select, depth);
        match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK => rows,
            SubLinkType::ALL_SUBLINK if rows == Truth::Never => Truth::Always,
            SubLinkType::ANY_SUBLINK if rows == Truth::Always && elsewhere => Truth::Depends,
            SubLinkType::EXPR_SUBLINK if select.from_clause().is_empty() => {
                let target = select.target_list().first();
                target.map_or(Truth::Depends, |target| {
                    and(rows, self.truth(target.val(), depth.saturating_add(1)))
                })
            }
            _ => rows,
        }
    }

    /// Whether a subquery's own conditions leave it all of its rows, and whether it reads another relation.
    fn rows(&self, select: &nodes::SelectStmt, depth: u16) -> (Truth, bool) {
        let mut inside = Condition {
            relation: self.relation,
            own: self.own.clone(),
            others: self.others.clone(),
        };
        let mut elsewhere = false;
        for node in select.from_clause() {
            let (name, itself) = match node {
                Node::RangeVar(range) => {
                    let name = range.relname().unwrap_or_default();
                    let alias = range.alias().and_then(nodes::Alias::aliasname);
                    (alias.unwrap_or(name), name == self.relation.name.name)
                }
                _ => ("", false),
            };
            elsewhere |= !itself;
            let names = if itself {
                &mut inside.own
            } else {
                &mut inside.others
            };
            names.push(name.to_owned());
        }
        let plain = select.op == SetOperation::SETOP_NONE
            && select.values_lists().is_empty()
            && matches!(select.limit_count(), Node::None)
            && matches!(select.limit_offset(), Node::None)
            && matches!(select.having_clause(), Node::None);
        let rows = match select.where_clause() {
            _ if !plain => Truth::Depends,
            Node::None => Truth::Always,
            condition => inside.truth(condition, depth.saturating_add(1)),
        };
        (rows, elsewhere)
    }
}

/// The last part of an operator's name.
fn last(expression: &nodes::A_Expr) -> Option<&str> {
    let name = expression.name();
    name.iter().filter_map(Node::as_str).next_back()
}

fn and(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::Never, _) | (_, Truth::Never) => Truth::Never,
        (Truth::Always, other) => other,
        (one, _) => one,
    }
}

fn or(one: Truth, other: Truth) -> Truth {
    match (one, other) {
        (Truth::Always, _) | (_, Truth::Always) => Truth::Always,
        (Truth::Never, other) => other,
        (one, _) => one,
    }
}

const fn not(truth: Truth) -> Truth {
    match truth {
        Truth::Always => Truth::Never,
        Truth::Never => Truth::Always,
        Truth::Depends => Truth::Depends,
    }
}
