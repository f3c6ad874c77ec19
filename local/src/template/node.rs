//! The YAML of a template: nodes that know their line, for error messages, and resolve CloudFormation's short tags.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr, time::Duration};

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};

use super::{AWS_ACCOUNT, REGION, TemplateError, queue_arn, stream_arn, table_arn};

/// The maximum length of a chain of references. A longer chain is treated as a cycle.
const MAX_REFERENCE_DEPTH: usize = 8;

/// The parsed YAML of a template.
pub(super) struct Document<'a> {
    path: PathBuf,
    yaml: MarkedYaml<'a>,
    /// The parameters that do not have their default.
    parameters: &'a BTreeMap<String, String>,
}

/// A place in a template.
pub(super) struct Node<'a> {
    document: &'a Document<'a>,
    yaml: &'a MarkedYaml<'a>,
    line: usize,
}

impl<'a> Document<'a> {
    pub(super) fn parse(
        path: &std::path::Path,
        text: &'a str,
        parameters: &'a BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let not_yaml = |cause: String| TemplateError::NotYaml { path: path.to_owned(), cause };
        let documents = MarkedYaml::load_from_str(text).map_err(|error| not_yaml(error.to_string()))?;
        let yaml = documents.into_iter().next().ok_or_else(|| not_yaml("it is empty".to_owned()))?;
        Ok(Self { path: path.to_owned(), yaml, parameters })
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node { document: self, yaml: &self.yaml, line: 1 }
    }
}

impl<'a> Node<'a> {
    /// Returns the node in the required field `name`.
    pub(super) fn field(&self, name: &str) -> Result<Node<'a>, TemplateError> {
        self.optional(name)?.ok_or_else(|| self.unexpected(&format!("expected the field {name}")))
    }

    /// Returns the node in the field `name`, or `None` if the field is absent.
    pub(super) fn optional(&self, name: &str) -> Result<Option<Node<'a>>, TemplateError> {
        Ok(self.entries()?.into_iter().find(|(key, _)| key == name).map(|(_, node)| node))
    }

    /// Returns the fields of a mapping, in their order.
    pub(super) fn entries(&self) -> Result<Vec<(String, Node<'a>)>, TemplateError> {
        let YamlData::Mapping(mapping) = &self.yaml.data else {
            return Err(self.unexpected(&format!("expected a mapping, found {}", self.kind())));
        };
        let entries = mapping.iter().map(|(key, value)| {
            let key = scalar(key).ok_or_else(|| self.unexpected("expected names of fields"))?;
            Ok((key, self.child(value)))
        });
        entries.collect()
    }

    /// Returns the items of a sequence.
    pub(super) fn items(&self) -> Result<Vec<Node<'a>>, TemplateError> {
        match &self.yaml.data {
            YamlData::Sequence(items) => Ok(items.iter().map(|item| self.child(item)).collect()),
            _ => Err(self.unexpected(&format!("expected a list, found {}", self.kind()))),
        }
    }

    /// Returns the items of a sequence of strings.
    pub(super) fn texts(&self) -> Result<Vec<String>, TemplateError> {
        self.items()?.iter().map(Node::text).collect()
    }

    /// Returns the items of a sequence of strings, or the only item, which may stand without a sequence.
    pub(super) fn text_or_texts(&self) -> Result<Vec<String>, TemplateError> {
        match &self.yaml.data {
            YamlData::Sequence(_) => self.texts(),
            _ => Ok(vec![self.text()?]),
        }
    }

    /// Returns the node that an `!If` chooses, or this node if it is no `!If`. Returns `None` for `!Ref AWS::NoValue`.
    pub(super) fn chosen(self) -> Result<Option<Node<'a>>, TemplateError> {
        let YamlData::Tagged(tag, tagged) = &self.yaml.data else { return Ok(Some(self)) };
        match (tag.suffix.as_str(), scalar(tagged).as_deref()) {
            ("If", None) => {
                let [condition, then, otherwise] = self.arguments(tagged)?;
                let holds = self.condition(&condition.text()?, MAX_REFERENCE_DEPTH)?;
                (if holds { then } else { otherwise }).chosen()
            }
            ("Ref", Some("AWS::NoValue")) => Ok(None),
            _ => Ok(Some(self)),
        }
    }

    /// Returns the text of a scalar, with references resolved.
    pub(super) fn text(&self) -> Result<String, TemplateError> {
        self.resolve(MAX_REFERENCE_DEPTH)
    }

    /// Returns the scalar as a number.
    pub(super) fn number<T: FromStr>(&self) -> Result<T, TemplateError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.unexpected(&format!("expected a number, found {text}")))
    }

    /// Returns the scalar as a duration in seconds.
    pub(super) fn seconds(&self) -> Result<Duration, TemplateError> {
        self.number().map(Duration::from_secs)
    }

    /// Returns an error at this line.
    pub(super) fn unexpected(&self, problem: &str) -> TemplateError {
        TemplateError::Unexpected { path: self.document.path.clone(), line: self.line, problem: problem.to_owned() }
    }

    fn child(&self, yaml: &'a MarkedYaml<'a>) -> Node<'a> {
        // The parser does not set the position of a value after a tag.
        let line = if yaml.span.start.line() == 0 { self.line } else { yaml.span.start.line() };
        Node { document: self.document, yaml, line }
    }

    fn resolve(&self, depth: usize) -> Result<String, TemplateError> {
        if depth == 0 {
            return Err(self.unexpected("the references form a cycle"));
        }
        let YamlData::Tagged(tag, tagged) = &self.yaml.data else {
            return scalar(self.yaml)
                .ok_or_else(|| self.unexpected(&format!("expected a text, found {}", self.kind())));
        };
        let argument = scalar(tagged);
        match (tag.suffix.as_str(), argument) {
            ("Ref", Some(name)) => self.reference(&name, depth),
            ("GetAtt", Some(name)) => self.attribute(&name, depth),
            ("Sub", Some(text)) => self.substitute(&text, depth),
            ("If", None) => {
                let [condition, then, otherwise] = self.arguments(tagged)?;
                let chosen = if self.condition(&condition.resolve(depth - 1)?, depth - 1)? { then } else { otherwise };
                chosen.resolve(depth - 1)
            }
            (tag, _) => Err(self.unexpected(&format!("!{tag} is not understood here"))),
        }
    }

    /// Returns whether the condition `name` is true.
    fn condition(&self, name: &str, depth: usize) -> Result<bool, TemplateError> {
        self.document.root().field("Conditions")?.field(name)?.holds(depth)
    }

    fn holds(&self, depth: usize) -> Result<bool, TemplateError> {
        if depth == 0 {
            return Err(self.unexpected("the references form a cycle"));
        }
        let YamlData::Tagged(tag, tagged) = &self.yaml.data else {
            return Err(self.unexpected(&format!("expected a condition, found {}", self.kind())));
        };
        match tag.suffix.as_str() {
            "Equals" => {
                let [left, right] = self.arguments(tagged)?;
                Ok(left.resolve(depth - 1)? == right.resolve(depth - 1)?)
            }
            "Not" => {
                let [condition] = self.arguments(tagged)?;
                condition.holds(depth - 1).map(|holds| !holds)
            }
            tag => Err(self.unexpected(&format!("!{tag} is not understood here"))),
        }
    }

    /// Returns the `N` arguments of a tag.
    fn arguments<const N: usize>(&self, tagged: &'a MarkedYaml<'a>) -> Result<[Node<'a>; N], TemplateError> {
        let items = self.child(tagged).items()?;
        items.try_into().map_err(|_| self.unexpected(&format!("expected a list of {N}")))
    }

    fn substitute(&self, text: &str, depth: usize) -> Result<String, TemplateError> {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| self.unexpected("expected } after ${"))?;
            result.push_str(before);
            result.push_str(&match name {
                name if name.contains('.') => self.attribute(name, depth)?,
                name => self.reference(name, depth)?,
            });
            rest = after;
        }
        result.push_str(rest);
        Ok(result)
    }

    /// Resolves `!Ref name` to a pseudo parameter, a parameter's value, or the name of a resource.
    fn reference(&self, name: &str, depth: usize) -> Result<String, TemplateError> {
        match name {
            "AWS::AccountId" => return Ok(AWS_ACCOUNT.to_owned()),
            "AWS::Partition" => return Ok("aws".to_owned()),
            "AWS::Region" => return Ok(REGION.to_owned()),
            "AWS::StackName" => return Ok("local".to_owned()),
            "AWS::URLSuffix" => return Ok("amazonaws.com".to_owned()),
            _ => {}
        }
        let root = self.document.root();
        if let Some(parameter) = root.optional("Parameters")?.map(|node| node.optional(name)).transpose()?.flatten() {
            return match self.document.parameters.get(name) {
                Some(value) => Ok(value.clone()),
                None => parameter.field("Default")?.resolve(depth - 1),
            };
        }
        let (resource, kind) = self.resource(name)?;
        let property = match kind.as_str() {
            "AWS::DynamoDB::Table" => "TableName",
            "AWS::SQS::Queue" => "QueueName",
            "AWS::Logs::LogGroup" => "LogGroupName",
            // Its id, which API Gateway assigns.
            "AWS::Serverless::HttpApi" => "Name",
            _ => return Err(self.unexpected(&format!("a reference to {name}, a {kind}, is not understood here"))),
        };
        resource.field("Properties")?.field(property)?.resolve(depth - 1)
    }

    /// Resolves `!GetAtt name.attribute`.
    fn attribute(&self, name_and_attribute: &str, depth: usize) -> Result<String, TemplateError> {
        let (name, attribute) =
            name_and_attribute.split_once('.').ok_or_else(|| self.unexpected("expected A.B after !GetAtt"))?;
        let (resource, kind) = self.resource(name)?;
        match (kind.as_str(), attribute) {
            ("AWS::SQS::Queue", "Arn") => {
                Ok(queue_arn(&resource.field("Properties")?.field("QueueName")?.resolve(depth - 1)?))
            }
            ("AWS::DynamoDB::Table", "Arn") => {
                Ok(table_arn(&resource.field("Properties")?.field("TableName")?.resolve(depth - 1)?))
            }
            ("AWS::DynamoDB::Table", "StreamArn") => {
                Ok(stream_arn(&resource.field("Properties")?.field("TableName")?.resolve(depth - 1)?))
            }
            _ => Err(self.unexpected(&format!("{attribute} of {name}, a {kind}, is not understood here"))),
        }
    }

    fn resource(&self, name: &str) -> Result<(Node<'a>, String), TemplateError> {
        let resource = self.document.root().field("Resources")?.optional(name)?;
        let resource = resource.ok_or_else(|| self.unexpected(&format!("there is no parameter or resource {name}")))?;
        let kind = resource.field("Type")?.text()?;
        Ok((resource, kind))
    }

    fn kind(&self) -> String {
        match &self.yaml.data {
            YamlData::Mapping(_) => "a mapping".to_owned(),
            YamlData::Sequence(_) => "a list".to_owned(),
            YamlData::Tagged(tag, _) => format!("!{}, which is not understood here", tag.suffix),
            _ => "a text".to_owned(),
        }
    }
}

/// Returns a scalar as text, as CloudFormation reads it, or `None` if the node is not a scalar.
fn scalar(yaml: &MarkedYaml<'_>) -> Option<String> {
    match &yaml.data {
        YamlData::Value(Scalar::String(text)) => Some(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Some(number.to_string()),
        YamlData::Value(Scalar::Boolean(truth)) => Some(truth.to_string()),
        YamlData::Value(Scalar::FloatingPoint(number)) => Some(number.to_string()),
        _ => None,
    }
}
