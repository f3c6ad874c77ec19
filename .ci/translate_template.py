"""Prints template.yaml as the CloudFormation that AWS makes of it, for cfn-lint: `sam validate` sees only the SAM form."""

import json
import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template names actions, not managed policies, so that no account is asked what they are."""

    def load(self):
        return {}


def main(path):
    template = yaml_parse(Path(path).read_text(encoding="utf-8"))
    for resource in template["Resources"].values():
        # `sam package` puts the built code here; the translator takes nothing else.
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code.zip"
    json.dump(transform(template, {}, NoManagedPolicies()), sys.stdout, indent=1)


if __name__ == "__main__":
    main(sys.argv[1])
