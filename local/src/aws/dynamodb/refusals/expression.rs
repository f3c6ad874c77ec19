//! Expressions: conditions, filters, key conditions, projections and updates.
//!
//! The engine parses expressions, so they are only split into elements here. Most rules concern an element and its
//! neighbours. An expression that cannot be split has a syntax error, which the engine reports.

use std::fmt;

use serde_json::{Map, Value};

/// The longest expression, in bytes. The engine refuses longer ones.
const MAX_BYTES: usize = 4_096;
const MAX_OPERATORS: usize = 300;
const MAX_IN_OPERANDS: usize = 100;
const MAX_PATH_LEVELS: usize = 32;

const KEYWORDS: [&str; 9] = ["AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"];
const FUNCTIONS: [&str; 8] = [
    "attribute_exists",
    "attribute_not_exists",
    "attribute_type",
    "begins_with",
    "contains",
    "size",
    "if_not_exists",
    "list_append",
];
const TYPES: [&str; 10] = ["B", "NULL", "SS", "BOOL", "L", "BS", "N", "NS", "S", "M"];

/// The types whose values have an order.
const ORDERED: [&str; 3] = ["S", "N", "B"];

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Update,
    Condition,
    KeyCondition,
    Filter,
    Projection,
}

impl Kind {
    pub(super) const ALL: [Self; 5] =
        [Self::Update, Self::Condition, Self::KeyCondition, Self::Filter, Self::Projection];

    /// Returns the parameter that has the expression.
    pub(super) fn parameter(self) -> &'static str {
        match self {
            Self::Update => "UpdateExpression",
            Self::Condition => "ConditionExpression",
            Self::KeyCondition => "KeyConditionExpression",
            Self::Filter => "FilterExpression",
            Self::Projection => "ProjectionExpression",
        }
    }
}

/// An expression of a request.
pub(super) struct Expression<'a> {
    kind: Kind,
    tokens: Vec<&'a str>,
    elements: Vec<Element<'a>>,
    values: Option<&'a Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Element<'a> {
    Keyword(&'static str),
    /// The name of a function. The next element is its parenthesis.
    Function(&'a str),
    /// An attribute, or a part of one.
    Path(Path<'a>),
    /// A placeholder such as `:value`.
    Value(&'a str),
    Symbol(&'a str),
}

/// An attribute's name, followed by the steps to a part of it.
#[derive(Debug, Clone, PartialEq)]
struct Path<'a>(Vec<Step<'a>>);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Step<'a> {
    Name(&'a str),
    Index(&'a str),
}

impl<'a> Expression<'a> {
    /// Returns the expression of this kind in a request. Returns `None` if it has none, or one with a syntax error.
    pub(super) fn of(request: &'a Map<String, Value>, kind: Kind) -> Option<Self> {
        let text = request.get(kind.parameter())?.as_str().filter(|text| text.len() <= MAX_BYTES)?;
        let names = request.get("ExpressionAttributeNames").and_then(Value::as_object);
        let values = request.get("ExpressionAttributeValues").and_then(Value::as_object);
        let tokens = tokens(text)?;
        let elements = elements(&tokens, |name| names?.get(name)?.as_str())?;
        Some(Self { kind, tokens, elements, values })
    }

    /// Returns what is wrong with the expression.
    pub(super) fn problem(&self) -> Option<String> {
        self.size_problem()
            .or_else(|| self.name_problem())
            .or_else(|| self.paths().find_map(Path::problem))
            .or_else(|| (0..self.elements.len()).find_map(|at| self.element_problem(at)))
            .or_else(|| self.conflict())
    }

    /// Returns the names of the attributes in the expression, each once.
    pub(super) fn attributes(&self) -> Vec<String> {
        let mut names: Vec<_> = self.paths().filter_map(|path| path.attribute().map(str::to_owned)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Returns the attributes that an update changes, whole or in part.
    pub(super) fn targets(&self) -> Vec<&'a str> {
        self.target_positions().filter_map(|at| self.path(at)?.attribute()).collect()
    }

    /// Returns the attributes that an update sets to a value of the request.
    pub(super) fn assignments(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.target_positions().filter_map(|at| {
            let path = self.path(at).filter(|path| path.0.len() == 1)?;
            Some((path.attribute()?, self.value(at + 2)?))
        })
    }

    /// Returns the attributes that a key condition compares with values of the request, each with a value.
    pub(super) fn comparisons(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        (1..self.elements.len()).flat_map(|at| {
            let (path, values) = match &self.elements[at] {
                Element::Symbol("=" | "<" | "<=" | ">" | ">=") => (at - 1, [at + 1, at + 1]),
                Element::Keyword("BETWEEN") => (at - 1, [at + 1, at + 3]),
                Element::Function("begins_with") => (at + 2, [at + 4, at + 4]),
                _ => return Vec::new(),
            };
            let Some(name) = self.path(path).and_then(Path::attribute) else { return Vec::new() };
            values.into_iter().filter_map(|at| Some((name, self.value(at)?))).collect()
        })
    }

    /// Returns the bound that a key condition includes at its upper or lower end.
    pub(super) fn included_bound(&self, upper: bool) -> Option<(&'a str, &'a Value)> {
        (1..self.elements.len()).find_map(|at| {
            let bound = match (&self.elements[at], upper) {
                (Element::Symbol("<="), true) | (Element::Symbol(">=") | Element::Keyword("BETWEEN"), false) => at + 1,
                (Element::Keyword("BETWEEN"), true) => at + 3,
                _ => return None,
            };
            Some((self.path(at - 1)?.attribute()?, self.value(bound)?))
        })
    }

    fn paths(&self) -> impl Iterator<Item = &Path<'a>> {
        (0..self.elements.len()).filter_map(|at| self.path(at))
    }

    fn path(&self, at: usize) -> Option<&Path<'a>> {
        if let Element::Path(path) = self.elements.get(at)? { Some(path) } else { None }
    }

    fn value(&self, at: usize) -> Option<&'a Value> {
        if let Element::Value(name) = self.elements.get(at)? { self.values?.get(*name) } else { None }
    }

    /// Returns the positions of the paths that an update changes.
    fn target_positions(&self) -> impl Iterator<Item = usize> {
        let mut depth = 0_usize;
        (1..self.elements.len()).filter(move |at| {
            let before = &self.elements[at - 1];
            match before {
                Element::Symbol("(") => depth += 1,
                Element::Symbol(")") => depth = depth.saturating_sub(1),
                _ => {}
            }
            matches!(before, Element::Keyword("SET" | "REMOVE" | "ADD" | "DELETE"))
                || depth == 0 && before == &Element::Symbol(",")
        })
    }

    fn size_problem(&self) -> Option<String> {
        let count = |counted: fn(&Element<'_>) -> bool| self.elements.iter().filter(|element| counted(element)).count();
        let operators = if self.kind == Kind::Update {
            count(|element| matches!(element, Element::Symbol("+" | "-")))
        } else {
            let between = count(|element| element == &Element::Keyword("BETWEEN"));
            let operators = count(|element| {
                matches!(element, Element::Keyword(_) | Element::Symbol("=" | "<>" | "<" | "<=" | ">" | ">="))
            });
            // The AND of a BETWEEN is not an operator.
            operators.saturating_sub(between)
        };
        if operators > MAX_OPERATORS {
            // DynamoDB stops counting at the first one that is too many.
            let count = MAX_OPERATORS + 1;
            return Some(format!("The expression contains too many operators; operator count: {count}"));
        }
        let opened = count(|element| element == &Element::Symbol("("));
        let closed = count(|element| element == &Element::Symbol(")"));
        let last = self.tokens.last()?;
        (opened > closed + MAX_OPERATORS).then(|| format!("Syntax error; token: \"<EOF>\", near: \"{last}\""))
    }

    fn name_problem(&self) -> Option<String> {
        let at = self.tokens.iter().position(|token| token.starts_with('_'))?;
        let name = self.tokens[at];
        let near = match at.checked_sub(1).map(|before| self.tokens[before]) {
            Some(before) if before.starts_with(|first: char| first.is_ascii_alphanumeric()) => {
                format!("{before} {name}")
            }
            before => format!("{}{name}", before.unwrap_or_default()),
        };
        Some(format!("Syntax error; token: \"_\", near: \"{near}\""))
    }

    /// Returns what is wrong with an operator or a function and its operands.
    fn element_problem(&self, at: usize) -> Option<String> {
        let is_condition = matches!(self.kind, Kind::Condition | Kind::Filter);
        let is_update = self.kind == Kind::Update;
        match &self.elements[at] {
            Element::Function(name) => self.function_problem(name, &self.arguments(at)),
            Element::Symbol(operator @ ("=" | "<>" | "<" | "<=" | ">" | ">=")) if is_condition => {
                let (left, right) = (at.checked_sub(1)?, at + 1);
                let is_order = !matches!(*operator, "=" | "<>");
                self.same_operand(operator, left, right)
                    .or_else(|| self.wrong_type(operator, [left, right], &ORDERED).filter(|_| is_order))
            }
            Element::Symbol(operator @ ("+" | "-")) if is_update => {
                self.wrong_type(operator, [at.checked_sub(1)?, at + 1], &["N"])
            }
            Element::Keyword("BETWEEN") if is_condition => self.between_problem(at + 1, at + 3),
            Element::Keyword("IN") if is_condition => {
                let operands = self.arguments(at).len();
                let problem = "The IN operator is provided with too many operands; number of operands";
                (operands > MAX_IN_OPERANDS).then(|| format!("{problem}: {operands}"))
            }
            // Only ADD and DELETE have a value directly after a path.
            Element::Value(_) if is_update && self.path(at.checked_sub(1)?).is_some() => self.change_problem(at),
            Element::Keyword(_) | Element::Path(_) | Element::Value(_) | Element::Symbol(_) => None,
        }
    }

    fn function_problem(&self, name: &str, arguments: &[usize]) -> Option<String> {
        let lower = name.to_ascii_lowercase();
        if lower != name && FUNCTIONS.contains(&lower.as_str()) {
            return Some(format!("Invalid function name; function: {name}"));
        }
        match (name, arguments) {
            ("list_append", &[first, second]) => {
                let is_nested = |at: usize| self.elements.get(at) == Some(&Element::Function("list_append"));
                let problem = "The function is not allowed to be used this way in an expression; function";
                let nested = (is_nested(first) || is_nested(second)).then(|| format!("{problem}: {name}"));
                nested.or_else(|| self.wrong_type(name, [first, second], &["L"]))
            }
            ("begins_with", &[first, second]) => {
                self.same_operand(name, first, second).or_else(|| self.wrong_type(name, [first, second], &["S", "B"]))
            }
            ("contains", &[first, second]) => self.same_operand(name, first, second),
            ("attribute_type", &[_, second]) => match self.type_of(second) {
                Some(("S", found)) if found.as_str().is_some_and(|found| TYPES.contains(&found)) => None,
                Some(("S", found)) => {
                    let (found, types) = (found.as_str().unwrap_or_default(), TYPES.join(","));
                    Some(format!("Invalid attribute type name found; type: {found}, valid types: {{{types}}}"))
                }
                Some((kind, _)) => Some(incorrect_type(name, kind)),
                None => self.path(second).map(|_| incorrect_type(name, "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}")),
            },
            _ => None,
        }
    }

    /// Returns the problem of a value that ADD cannot add, or DELETE cannot delete.
    fn change_problem(&self, at: usize) -> Option<String> {
        let (kind, _) = self.type_of(at)?;
        let operator = self.elements[..at].iter().rev().find_map(|element| match element {
            Element::Keyword(keyword) => Some(*keyword),
            _ => None,
        })?;
        if matches!((operator, kind), (_, "SS" | "NS" | "BS") | ("ADD", "N")) {
            return None;
        }
        let kind = match kind {
            "S" => "STRING",
            "N" => "NUMBER",
            "B" => "Binary",
            "L" => "LIST",
            "M" => "MAP",
            other => other,
        };
        let problem = "Incorrect operand type for operator or function; operator";
        // DynamoDB names this set for DELETE too, as the engine's own answers to `UpdateItem` show.
        Some(format!("{problem}: {operator}, operand type: {kind}, typeSet: ALLOWED_FOR_ADD_OPERAND"))
    }

    fn between_problem(&self, lower: usize, upper: usize) -> Option<String> {
        let unordered = self.wrong_type("BETWEEN", [lower, upper], &ORDERED);
        if unordered.is_some() {
            return unordered;
        }
        let ((lower_kind, lower), (upper_kind, upper)) = self.type_of(lower).zip(self.type_of(upper))?;
        let (lower, upper) = lower.as_str().zip(upper.as_str())?;
        let rule = if lower_kind != upper_kind {
            "requires same data type for lower and upper bounds"
        } else if is_greater(lower_kind, lower, upper) {
            "requires upper bound to be greater than or equal to lower bound"
        } else {
            return None;
        };
        let lower = format!("lower bound operand: AttributeValue: {{{lower_kind}:{lower}}}");
        let upper = format!("upper bound operand: AttributeValue: {{{upper_kind}:{upper}}}");
        Some(format!("The BETWEEN operator {rule}; {lower}, {upper}"))
    }

    /// Returns the problem of the first operand whose type is known and not allowed.
    fn wrong_type(&self, operator: &str, operands: [usize; 2], allowed: &[&str]) -> Option<String> {
        let mut kinds = operands.into_iter().filter_map(|at| self.type_of(at)).map(|(kind, _)| kind);
        kinds.find(|kind| !allowed.contains(kind)).map(|kind| incorrect_type(operator, kind))
    }

    fn same_operand(&self, operator: &str, first: usize, second: usize) -> Option<String> {
        let (first, second) = self.path(first).zip(self.path(second))?;
        let problem = "The first operand must be distinct from the remaining operands for this operator or function";
        (first == second).then(|| format!("{problem}; operator: {operator}, first operand: {first}"))
    }

    /// Returns the type and the contents of a value of the request. The type of an attribute is not known.
    fn type_of(&self, at: usize) -> Option<(&'a str, &'a Value)> {
        self.value(at)?.as_object()?.iter().next().map(|(kind, value)| (kind.as_str(), value))
    }

    /// Returns where the arguments begin that are in the parentheses after an element.
    fn arguments(&self, at: usize) -> Vec<usize> {
        let mut arguments = vec![at + 2];
        let mut depth = 0_usize;
        for (at, element) in self.elements.iter().enumerate().skip(at + 1) {
            match element {
                Element::Symbol("(") => depth += 1,
                Element::Symbol(")") => depth = depth.saturating_sub(1),
                Element::Symbol(",") if depth == 1 => arguments.push(at + 1),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        arguments
    }

    /// Returns the problem of two paths of which one uses an attribute as a list and the other as a map.
    fn conflict(&self) -> Option<String> {
        let paths: Vec<_> = match self.kind {
            Kind::Projection => self.paths().collect(),
            Kind::Update => self.target_positions().filter_map(|at| self.path(at)).collect(),
            Kind::Condition | Kind::KeyCondition | Kind::Filter => return None,
        };
        let mut pairs =
            paths.iter().enumerate().flat_map(|(at, one)| paths[at + 1..].iter().map(move |two| (one, two)));
        let (one, two) = pairs.find(|(one, two)| one.conflicts_with(two))?;
        let problem = "Two document paths conflict with each other; must remove or rewrite one of these paths";
        Some(format!("{problem}; path one: {one}, path two: {two}"))
    }
}

impl<'a> Path<'a> {
    fn attribute(&self) -> Option<&'a str> {
        if let Step::Name(name) = self.0.first()? { Some(name) } else { None }
    }

    fn problem(&self) -> Option<String> {
        let too_great = self.0.iter().find(|step| matches!(step, Step::Index(index) if index.parse::<i32>().is_err()));
        if let Some(index) = too_great {
            return Some(format!("List index is not within the allowable range; index: {index}"));
        }
        let levels = self.0.len();
        let problem = "The document path has too many nesting levels; nesting levels";
        (levels > MAX_PATH_LEVELS).then(|| format!("{problem}: {levels}"))
    }

    fn conflicts_with(&self, other: &Self) -> bool {
        let different = self.0.iter().zip(&other.0).find(|(one, two)| one != two);
        matches!(different, Some((Step::Name(_), Step::Index(_)) | (Step::Index(_), Step::Name(_))))
    }
}

/// As DynamoDB prints paths: `[a, [1], b]`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<_> = self.0.iter().map(Step::to_string).collect();
        write!(formatter, "[{}]", steps.join(", "))
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

fn incorrect_type(operator: &str, kind: &str) -> String {
    let problem = "Incorrect operand type for operator or function; operator or function";
    format!("{problem}: {operator}, operand type: {kind}")
}

/// Returns whether one bound is greater than another of the same type. Bytes are not compared.
fn is_greater(kind: &str, one: &str, two: &str) -> bool {
    match kind {
        "S" => one > two,
        "N" => matches!((one.parse::<f64>(), two.parse::<f64>()), (Ok(one), Ok(two)) if one > two),
        _ => false,
    }
}

/// Splits an expression. Returns `None` if it has a character that no token has.
fn tokens(text: &str) -> Option<Vec<&str>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let length = match first {
            '0'..='9' => rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len()),
            '#' | ':' => rest[1..].find(|character| !is_name(character)).map_or(rest.len(), |length| length + 1),
            first if is_name(first) => rest.find(|character| !is_name(character)).unwrap_or(rest.len()),
            '<' | '>' if rest.starts_with("<>") || rest[1..].starts_with('=') => 2,
            '=' | '<' | '>' | '+' | '-' | '(' | ')' | '[' | ']' | '.' | ',' => 1,
            _ => return None,
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_ascii_start();
    }
    Some(tokens)
}

/// Joins the tokens of paths. Returns `None` if the name of an attribute is not defined.
fn elements<'a>(tokens: &[&'a str], name_of: impl Fn(&str) -> Option<&'a str>) -> Option<Vec<Element<'a>>> {
    let step = |token: &'a str| match token.chars().next()? {
        '#' => name_of(token).map(Step::Name),
        first => (first.is_ascii_alphabetic() || first == '_').then_some(Step::Name(token)),
    };
    let mut elements = Vec::new();
    let mut rest = tokens;
    while let [token, after @ ..] = rest {
        rest = after;
        let keyword = KEYWORDS.into_iter().find(|keyword| token.eq_ignore_ascii_case(keyword));
        if let Some(keyword) = keyword {
            elements.push(Element::Keyword(keyword));
        } else if token.starts_with(':') {
            elements.push(Element::Value(token));
        } else if token.starts_with(|first: char| first == '#' || first == '_' || first.is_ascii_alphabetic()) {
            if !token.starts_with('#') && after.first() == Some(&"(") {
                elements.push(Element::Function(token));
                continue;
            }
            let mut path = vec![step(token)?];
            while let [opening, next, after @ ..] = rest {
                rest = match (*opening, after) {
                    (".", after) => {
                        path.push(step(next)?);
                        after
                    }
                    ("[", ["]", after @ ..]) => {
                        path.push(Step::Index(next));
                        after
                    }
                    _ => break,
                };
            }
            elements.push(Element::Path(Path(path)));
        } else {
            elements.push(Element::Symbol(token));
        }
    }
    Some(elements)
}
