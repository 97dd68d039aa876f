//! Whether a `WHERE` restricts: `WHERE true`, `WHERE 1 = 1`, `WHERE id = id` do not.

use std::cmp::Ordering;

use crate::sql::analyze::context::Analyzer;
use crate::sql::catalog::Relation;
use crate::sql::parse::nodes::{A_Expr_Kind, BoolExprType, NullTestType, SubLinkType};
use crate::sql::parse::{ConstValue, List, Node, nodes};

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
    /// Whether a condition leaves out rows, as far as the text can say it.
    pub(in crate::sql) fn restricts(&self, node: Node<'_>, relation: &Relation) -> bool {
        if matches!(node, Node::None) {
            return false;
        }
        let condition = Condition { relation };
        condition.truth(node, 0) != Truth::Always
    }
}

struct Condition<'r> {
    relation: &'r Relation,
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
                    BoolExprType::OR_EXPR if complementary(expression.args()) => Truth::Always,
                    BoolExprType::OR_EXPR => parts.fold(Truth::Never, or),
                    _ => match parts.next() {
                        Some(Truth::Always) => Truth::Never,
                        Some(Truth::Never) => Truth::Always,
                        _ => Truth::Depends,
                    },
                }
            }
            Node::NullTest(test) => self.null_test(test),
            Node::BooleanTest(test) => self.boolean_test(test, depth),
            Node::TypeCast(cast) => match literal_truth(cast.arg()) {
                Some(truth) => truth,
                None => deeper(cast.arg()),
            },
            Node::A_Const(_) => literal_truth(node).unwrap_or(Truth::Always),
            Node::A_Expr(expression) => self.operator(expression),
            // The first that is not NULL: an always is never NULL unless its columns are.
            Node::CoalesceExpr(coalesce) => coalesce.args().first().map_or(Truth::Depends, deeper),
            Node::CaseExpr(case) => self.case(case, depth),
            _ => self.by_columns(node),
        }
    }

    fn boolean_test(&self, test: &nodes::BooleanTest, depth: u16) -> Truth {
        use nodes::BoolTestType as Test;
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
        if mentions_column(node, 0) {
            Truth::Depends
        } else {
            Truth::Always
        }
    }

    fn null_test(&self, test: &nodes::NullTest) -> Truth {
        let Node::ColumnRef(column) = test.arg() else {
            return self.by_columns(test.arg());
        };
        let name = column.fields().iter().filter_map(Node::as_str).next_back();
        let not_null = name
            .and_then(|name| self.relation.column(name))
            .is_some_and(|column| column.not_null);
        match (test.nulltesttype, not_null) {
            (NullTestType::IS_NOT_NULL, true) => Truth::Always,
            (_, true) => Truth::Never,
            _ => Truth::Depends,
        }
    }

    fn operator(&self, expression: &nodes::A_Expr) -> Truth {
        let name = expression
            .name()
            .iter()
            .filter_map(Node::as_str)
            .next_back();
        let (left, right) = (expression.lexpr(), expression.rexpr());
        match expression.kind {
            A_Expr_Kind::AEXPR_OP
            | A_Expr_Kind::AEXPR_NOT_DISTINCT
            | A_Expr_Kind::AEXPR_DISTINCT => {
                let name = match expression.kind {
                    A_Expr_Kind::AEXPR_NOT_DISTINCT => "=",
                    A_Expr_Kind::AEXPR_DISTINCT => "<>",
                    _ => name.unwrap_or_default(),
                };
                if same(left, right, 0) {
                    return match name {
                        "=" | "<=" | ">=" => Truth::Always,
                        "<>" | "!=" | "<" | ">" => Truth::Never,
                        _ => Truth::Depends,
                    };
                }
                if let Some(order) = constants(left, right) {
                    return decided(name, order);
                }
                if not_negative(left)
                    && let Some(bound) = number(right, 0)
                {
                    return match name {
                        ">=" | "<>" | "!=" if bound <= 0.0 && name == ">=" || bound < 0.0 => {
                            Truth::Always
                        }
                        ">" if bound < 0.0 => Truth::Always,
                        "<" if bound <= 0.0 => Truth::Never,
                        _ => Truth::Depends,
                    };
                }
                if matches!(name, "~" | "~*")
                    && text(right).is_some_and(|pattern| matches_all(&pattern))
                {
                    return Truth::Always;
                }
                self.by_columns(Node::A_Expr(expression))
            }
            A_Expr_Kind::AEXPR_IN => {
                let listed = right.as_node_list();
                let itself = listed.is_some_and(|list| list.iter().any(|node| same(left, node, 0)));
                if itself && name == Some("=") {
                    return Truth::Always;
                }
                self.by_columns(Node::A_Expr(expression))
            }
            A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE => {
                let all = matches!(text(right), Some(pattern) if !pattern.is_empty() && pattern.chars().all(|c| c == '%'));
                if all && name.is_some_and(|name| name.starts_with('~')) {
                    return Truth::Always;
                }
                self.by_columns(Node::A_Expr(expression))
            }
            _ => {
                let bounds = right.as_node_list();
                let itself = bounds.is_some_and(|list| {
                    list.len() == 2 && list.iter().all(|node| same(left, node, 0))
                });
                if itself {
                    return Truth::Always;
                }
                self.by_columns(Node::A_Expr(expression))
            }
        }
    }
}

/// `a OR NOT a`: two comparisons of the same that leave nothing out.
fn complementary(list: &List) -> bool {
    let parts: Vec<Node<'_>> = list.iter().take(64).collect();
    parts.iter().enumerate().any(|(index, one)| {
        let rest = parts.iter().skip(index.saturating_add(1));
        rest.into_iter().any(|other| opposite(*one, *other))
    })
}

fn opposite(one: Node<'_>, other: Node<'_>) -> bool {
    match (one, other) {
        (Node::NullTest(one), Node::NullTest(other)) => {
            one.nulltesttype != other.nulltesttype && same(one.arg(), other.arg(), 0)
        }
        (Node::BoolExpr(not), inner) | (inner, Node::BoolExpr(not))
            if not.boolop == BoolExprType::NOT_EXPR =>
        {
            not.args().first().is_some_and(|arg| same(arg, inner, 0))
        }
        (Node::A_Expr(one), Node::A_Expr(other)) => {
            let name = |expression: &nodes::A_Expr| {
                let name = expression
                    .name()
                    .iter()
                    .filter_map(Node::as_str)
                    .next_back();
                name.unwrap_or_default().to_owned()
            };
            // `a > 0 OR a < 5` overlap, too, whatever the bounds: one of a pair that points both ways.
            let pair = matches!(
                (name(one).as_str(), name(other).as_str()),
                ("=", "<>" | "!=")
                    | ("<>" | "!=", "=")
                    | ("<" | "<=", ">" | ">=")
                    | (">" | ">=", "<" | "<=")
                    | ("~~", "!~~")
                    | ("!~~", "~~")
                    | ("~", "!~")
                    | ("!~", "~")
            );
            pair && same(one.lexpr(), other.lexpr(), 0) && covers(one, other)
        }
        _ => false,
    }
}

/// Whether the two bounds leave no gap: the same, or overlapping.
fn covers(one: &nodes::A_Expr, other: &nodes::A_Expr) -> bool {
    if same(one.rexpr(), other.rexpr(), 0) {
        let name = |expression: &nodes::A_Expr| {
            let name = expression
                .name()
                .iter()
                .filter_map(Node::as_str)
                .next_back();
            name.unwrap_or_default().to_owned()
        };
        // `a < 1 OR a > 1` leaves out 1.
        return !matches!(
            (name(one).as_str(), name(other).as_str()),
            ("<", ">") | (">", "<")
        );
    }
    let (Some(first), Some(second)) = (number(one.rexpr(), 0), number(other.rexpr(), 0)) else {
        return false;
    };
    let name = one.name().iter().filter_map(Node::as_str).next_back();
    match name {
        Some("<" | "<=") => first > second,
        Some(">" | ">=") => first < second,
        _ => false,
    }
}

/// Functions that give no negative number.
fn not_negative(node: Node<'_>) -> bool {
    let Node::FuncCall(call) = node else {
        return false;
    };
    let name = call.funcname().iter().filter_map(Node::as_str).next_back();
    matches!(
        name,
        Some(
            "length"
                | "char_length"
                | "character_length"
                | "octet_length"
                | "bit_length"
                | "abs"
                | "cardinality"
                | "pg_column_size"
        )
    )
}

/// Regular expressions that every text matches.
fn matches_all(pattern: &str) -> bool {
    pattern
        .trim_start_matches('^')
        .trim_end_matches('$')
        .trim_matches(['(', ')'])
        .split(".*")
        .all(str::is_empty)
        && !pattern.contains("^$")
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

fn literal_truth(node: Node<'_>) -> Option<Truth> {
    let Node::A_Const(constant) = node else {
        return None;
    };
    match constant.val() {
        None => Some(Truth::Never),
        Some(ConstValue::Boolean(false)) => Some(Truth::Never),
        Some(ConstValue::String(text)) => {
            let no = [
                "f", "fa", "fal", "fals", "false", "n", "no", "off", "of", "0",
            ];
            Some(if no.contains(&text.trim().to_ascii_lowercase().as_str()) {
                Truth::Never
            } else {
                Truth::Always
            })
        }
        Some(ConstValue::Integer(0)) => Some(Truth::Never),
        Some(_) => Some(Truth::Always),
    }
}

/// Two expressions that are the same by their text: the same column, or a function of the same.
fn same(one: Node<'_>, other: Node<'_>, depth: u16) -> bool {
    if depth > 50 {
        return false;
    }
    let lists = |one: &List, other: &List| {
        one.len() == other.len()
            && one
                .iter()
                .zip(other)
                .all(|(one, other)| same(one, other, depth.saturating_add(1)))
    };
    match (one, other) {
        (Node::ColumnRef(one), Node::ColumnRef(other)) => {
            let last = |column: &nodes::ColumnRef| {
                let name = column.fields().iter().filter_map(Node::as_str).next_back();
                name.map(str::to_owned)
            };
            last(one).is_some() && last(one) == last(other)
        }
        (Node::FuncCall(one), Node::FuncCall(other)) => {
            lists(one.funcname(), other.funcname()) && lists(one.args(), other.args())
        }
        (Node::A_Expr(one), Node::A_Expr(other)) => {
            one.kind == other.kind
                && lists(one.name(), other.name())
                && same(one.lexpr(), other.lexpr(), depth.saturating_add(1))
                && same(one.rexpr(), other.rexpr(), depth.saturating_add(1))
        }
        (Node::CoalesceExpr(one), Node::CoalesceExpr(other)) => lists(one.args(), other.args()),
        (Node::MinMaxExpr(one), Node::MinMaxExpr(other)) => {
            one.op == other.op && lists(one.args(), other.args())
        }
        (Node::RowExpr(one), Node::RowExpr(other)) => lists(one.args(), other.args()),
        (Node::A_ArrayExpr(one), Node::A_ArrayExpr(other)) => {
            lists(one.elements(), other.elements())
        }
        (Node::BoolExpr(one), Node::BoolExpr(other)) => {
            one.boolop == other.boolop && lists(one.args(), other.args())
        }
        (Node::NullTest(one), Node::NullTest(other)) => {
            one.nulltesttype == other.nulltesttype
                && same(one.arg(), other.arg(), depth.saturating_add(1))
        }
        (Node::CollateClause(one), other) => same(one.arg(), other, depth.saturating_add(1)),
        (one, Node::CollateClause(other)) => same(one, other.arg(), depth.saturating_add(1)),
        (Node::String(one), Node::String(other)) => one.sval() == other.sval(),
        (Node::TypeCast(one), other) => same(one.arg(), other, depth.saturating_add(1)),
        (one, Node::TypeCast(other)) => same(one, other.arg(), depth.saturating_add(1)),
        (Node::A_Const(_), Node::A_Const(_)) => constants(one, other) == Some(Ordering::Equal),
        (Node::None, Node::None) => true,
        _ => false,
    }
}

/// How two constants compare.
fn constants(one: Node<'_>, other: Node<'_>) -> Option<Ordering> {
    if let (Some(one), Some(other)) = (number(one, 0), number(other, 0)) {
        return one.partial_cmp(&other);
    }
    Some(text(one)?.cmp(&text(other)?))
}

fn decided(name: &str, order: Ordering) -> Truth {
    let truth = match name {
        "=" => order.is_eq(),
        "<>" | "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        _ => return Truth::Always,
    };
    if truth { Truth::Always } else { Truth::Never }
}

/// The number that a constant expression stands for.
fn number(node: Node<'_>, depth: u16) -> Option<f64> {
    if depth > 20 {
        return None;
    }
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::Integer(number) => Some(f64::from(number)),
            ConstValue::Float(text) => text.parse().ok(),
            _ => None,
        },
        Node::TypeCast(cast) => number(cast.arg(), depth.saturating_add(1)),
        Node::A_Expr(expression) if expression.kind == A_Expr_Kind::AEXPR_OP => {
            let right = number(expression.rexpr(), depth.saturating_add(1))?;
            let name = expression
                .name()
                .iter()
                .filter_map(Node::as_str)
                .next_back()?;
            if matches!(expression.lexpr(), Node::None) {
                return match name {
                    "-" => Some(-right),
                    "+" => Some(right),
                    _ => None,
                };
            }
            let left = number(expression.lexpr(), depth.saturating_add(1))?;
            match name {
                "+" => Some(left + right),
                "-" => Some(left - right),
                "*" => Some(left * right),
                _ => None,
            }
        }
        _ => None,
    }
}

fn text(node: Node<'_>) -> Option<String> {
    match node {
        Node::A_Const(constant) => match constant.val()? {
            ConstValue::String(text) => Some(text.to_owned()),
            _ => None,
        },
        Node::TypeCast(cast) => text(cast.arg()),
        _ => None,
    }
}

/// Whether a stored column has a say in an expression. A subquery counts as none: `id IN (SELECT id FROM t)`
/// and `EXISTS (SELECT 1 FROM t)` leave out nothing unless they name a value.
fn mentions_column(node: Node<'_>, depth: u16) -> bool {
    if depth > 200 {
        return true;
    }
    let deeper = |inner: Node<'_>| mentions_column(inner, depth.saturating_add(1));
    match node {
        Node::ColumnRef(_) | Node::CurrentOfExpr(_) => true,
        Node::A_Expr(expression) => deeper(expression.lexpr()) || deeper(expression.rexpr()),
        Node::NodeList(list) => list.iter().any(deeper),
        Node::TypeCast(cast) => deeper(cast.arg()),
        Node::CollateClause(collate) => deeper(collate.arg()),
        Node::FuncCall(call) => call.args().iter().any(deeper),
        Node::BoolExpr(expression) => expression.args().iter().any(deeper),
        Node::NullTest(test) => deeper(test.arg()),
        Node::BooleanTest(test) => deeper(test.arg()),
        Node::CoalesceExpr(coalesce) => coalesce.args().iter().any(deeper),
        Node::MinMaxExpr(both) => both.args().iter().any(deeper),
        Node::RowExpr(row) => row.args().iter().any(deeper),
        Node::A_ArrayExpr(array) => array.elements().iter().any(deeper),
        Node::A_Indirection(indirection) => deeper(indirection.arg()),
        Node::NamedArgExpr(named) => deeper(named.arg()),
        Node::CaseExpr(case) => {
            deeper(case.arg())
                || deeper(case.defresult())
                || case.args().iter().any(|when| match when {
                    Node::CaseWhen(when) => deeper(when.expr()) || deeper(when.result()),
                    _ => true,
                })
        }
        Node::SubLink(link) => {
            let filters = match link.subselect() {
                Node::SelectStmt(select) => {
                    !matches!(select.where_clause(), Node::None)
                        || !select.values_lists().is_empty()
                }
                _ => true,
            };
            match link.sub_link_type {
                SubLinkType::EXISTS_SUBLINK => filters,
                _ => filters,
            }
        }
        Node::A_Const(_) | Node::ParamRef(_) | Node::SQLValueFunction(_) | Node::None => false,
        _ => true,
    }
}
