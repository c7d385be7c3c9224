// Prints which field numbers the members of the built-in kinds have in protobuf: apiserver/src/protobuf/types.txt.
//
// One line for each type: its name, then for each field number:name:form. A form is s (string), y (bytes), i (integer),
// b (truth value), d (float), Q (quantity), T and U (times), I (int or string), R (raw JSON), L (a list of strings in a
// message of its own) or =NAME (another type). [ before it stands for a list, { for a map. A following - says that the
// value is left out when it is empty, ^ that its members stand beside it instead of in it. Lines with @ name the kinds.
package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	apps "k8s.io/api/apps/v1"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	autoscaling "k8s.io/api/autoscaling/v1"
	batch "k8s.io/api/batch/v1"
	coordination "k8s.io/api/coordination/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	events "k8s.io/api/events/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var kinds = map[string][]any{
	"v1": {core.Binding{}, core.ConfigMap{}, core.Endpoints{}, core.Event{}, core.LimitRange{}, core.Namespace{},
		core.Node{}, core.Pod{}, core.ResourceQuota{}, core.Secret{}, core.Service{}, core.ServiceAccount{},
		meta.DeleteOptions{}},
	"apps/v1":                  {apps.ControllerRevision{}, apps.DaemonSet{}, apps.Deployment{}, apps.ReplicaSet{}, apps.StatefulSet{}},
	"authentication.k8s.io/v1": {authentication.SelfSubjectReview{}, authentication.TokenReview{}},
	"authorization.k8s.io/v1": {authorization.LocalSubjectAccessReview{}, authorization.SelfSubjectAccessReview{},
		authorization.SelfSubjectRulesReview{}, authorization.SubjectAccessReview{}},
	"autoscaling/v1":               {autoscaling.Scale{}},
	"batch/v1":                     {batch.Job{}},
	"coordination.k8s.io/v1":       {coordination.Lease{}},
	"discovery.k8s.io/v1":          {discovery.EndpointSlice{}},
	"events.k8s.io/v1":             {events.Event{}},
	"networking.k8s.io/v1":         {networking.NetworkPolicy{}},
	"policy/v1":                    {policy.Eviction{}, policy.PodDisruptionBudget{}},
	"rbac.authorization.k8s.io/v1": {rbac.ClusterRole{}, rbac.ClusterRoleBinding{}, rbac.Role{}, rbac.RoleBinding{}},
	"scheduling.k8s.io/v1":         {scheduling.PriorityClass{}},
}

var special = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():    "Q",
	reflect.TypeFor[meta.Time]():            "T",
	reflect.TypeFor[meta.MicroTime]():       "U",
	reflect.TypeFor[intstr.IntOrString]():   "I",
	reflect.TypeFor[runtime.RawExtension](): "R",
	reflect.TypeFor[meta.FieldsV1]():        "R",
}

var lines = map[string]string{}

func main() {
	for apiVersion, all := range kinds {
		for _, kind := range all {
			of := reflect.TypeOf(kind)
			describe(of)
			lines["@"+apiVersion+" "+of.Name()] = name(of)
		}
	}
	names := make([]string, 0, len(lines))
	for name := range lines {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Println(name, lines[name])
	}
}

// name tells types of the same name in several groups apart.
func name(of reflect.Type) string {
	parts := strings.Split(of.PkgPath(), "/")
	return parts[len(parts)-2] + "." + of.Name()
}

func describe(of reflect.Type) {
	if _, known := lines[name(of)]; known {
		return
	}
	lines[name(of)] = ""
	var fields []string
	for i := range of.NumField() {
		field := of.Field(i)
		tag := strings.Split(field.Tag.Get("protobuf"), ",")
		if len(tag) < 2 {
			continue
		}
		json := strings.Split(field.Tag.Get("json"), ",")
		text := tag[1] + ":" + json[0] + ":" + form(field.Type)
		if slices.Contains(json, "inline") {
			text += "^"
		} else if field.Type.Kind() != reflect.Pointer && slices.ContainsFunc(json, func(option string) bool {
			return option == "omitempty" || option == "omitzero"
		}) {
			text += "-"
		}
		fields = append(fields, text)
	}
	lines[name(of)] = strings.Join(fields, " ")
}

func form(of reflect.Type) string {
	if form, known := special[of]; known {
		return form
	}
	switch of.Kind() {
	case reflect.Pointer:
		return form(of.Elem())
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "b"
	case reflect.Int32, reflect.Int64, reflect.Uint8:
		return "i"
	case reflect.Float64:
		return "d"
	case reflect.Map:
		return "{" + form(of.Elem())
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "y"
		}
		if of.Name() != "" && of.Elem().Kind() == reflect.String {
			return "L"
		}
		return "[" + form(of.Elem())
	case reflect.Struct:
		describe(of)
		return "=" + name(of)
	}
	fmt.Fprintln(os.Stderr, "no form for", of)
	os.Exit(1)
	return ""
}
