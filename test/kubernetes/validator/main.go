// Validates resources as kube-apiserver does for a create request with fieldValidation=Strict, with the code of
// kube-apiserver, and without a server.
//
// The argument is a YAML file with CustomResourceDefinitions. The program first validates these. It then reads one
// resource per line from standard input, as JSON, and prints a JSON list of errors for each. For a resource that is no
// custom resource, it checks the names and the types of the fields.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

type validator struct {
	structural *schema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string) error {
	validators, err := readDefinitions(file)
	if err != nil {
		return err
	}
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 64<<20)
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for input.Scan() {
		resource := &unstructured.Unstructured{}
		if err := resource.UnmarshalJSON(input.Bytes()); err != nil {
			return err
		}
		errors := []string{}
		if v, found := validators[resource.GetKind()]; found {
			errors = append(errors, v.validate(resource)...)
		} else if _, _, err := decoder.Decode(input.Bytes(), nil, nil); err != nil {
			errors = append(errors, err.Error())
		}
		if err := output.Encode(errors); err != nil {
			return err
		}
	}
	return input.Err()
}

func readDefinitions(file string) (map[string]*validator, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	validators := map[string]*validator{}
	for _, document := range bytes.Split(text, []byte("\n---\n")) {
		external := apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(document, &external); err != nil {
			return nil, err
		}
		apiextensionsv1.SetDefaults_CustomResourceDefinition(&external)
		apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
		definition := apiextensions.CustomResourceDefinition{}
		if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&external, &definition, nil); err != nil {
			return nil, err
		}
		definition.Status.StoredVersions = []string{external.Spec.Versions[0].Name}
		if errors := crdvalidation.ValidateCustomResourceDefinition(context.Background(), &definition); len(errors) > 0 {
			return nil, fmt.Errorf("%s: %w", external.Name, errors.ToAggregate())
		}
		v, err := newValidator(definition.Spec.Validation)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", external.Name, err)
		}
		validators[external.Spec.Names.Kind] = v
	}
	return validators, nil
}

func newValidator(definition *apiextensions.CustomResourceValidation) (*validator, error) {
	structural, err := schema.NewStructural(definition.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	schemaValidator, _, err := validation.NewSchemaValidator(definition.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &validator{structural, schemaValidator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Returns the errors of a custom resource. Like kube-apiserver, evaluates no rule on a resource that lacks a required
// field, or has a field of another type or of excessive size.
func (v *validator) validate(resource *unstructured.Unstructured) []string {
	object := resource.UnstructuredContent()
	pruned := resource.DeepCopy().UnstructuredContent()
	options := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	messages := []string{}
	for _, path := range pruning.PruneWithOptions(pruned, v.structural, true, options) {
		messages = append(messages, fmt.Sprintf("unknown field %q", path))
	}
	errors := apivalidation.ValidateObjectMetaAccessor(resource, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	errors = append(errors, validation.ValidateCustomResource(nil, object, v.schema)...)
	if !hasBlockingError(errors) {
		ruleErrors, _ := v.rules.Validate(context.Background(), nil, v.structural, object, nil, celconfig.RuntimeCELCostBudget)
		errors = append(errors, ruleErrors...)
	}
	for _, err := range errors {
		messages = append(messages, err.Error())
	}
	return messages
}

func hasBlockingError(errors field.ErrorList) bool {
	for _, err := range errors {
		switch err.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return true
		}
	}
	return false
}
