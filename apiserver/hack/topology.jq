# Input: OpenAPI v3 documents of a real API server, slurped. Output: their definitions, one a line, reduced to what
# says how objects merge.
def reduced:
  if (.allOf? | type) == "array" and (.allOf | length) == 1 and (.allOf[0] | has("$ref"))
    then (. + .allOf[0]) | del(.allOf) else . end
  | with_entries(select(.key | IN("$ref", "type", "format", "items", "properties", "additionalProperties", "required", "default",
      "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-patch-strategy",
      "x-kubernetes-patch-merge-key", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-group-version-kind")))
  | if has("$ref") then .["$ref"] |= sub("^#/components/schemas/"; "") else . end
  | if (.["x-kubernetes-group-version-kind"] | length) > 1 then del(.["x-kubernetes-group-version-kind"]) else . end
  | if has("items") then .items |= (reduced | del(.default)) else . end
  | if (.additionalProperties | type) == "object" then .additionalProperties |= (reduced | del(.default)) else . end
  | if has("properties") then .properties |= map_values(reduced) else . end;

map(.components.schemas) | add
# Not what belongs to the protocol only.
| with_entries(select(.key | test("List$|\\.(API(Group|Resource|Versions).*|WatchEvent|Status(Cause|Details)?|ServerAddress.*|Patch|ListMeta|ShardInfo)$") | not))
| map_values(reduced)
| to_entries | sort_by(.key) | map("\(.key | tojson): \(.value | tojson)") | "{\n" + join(",\n") + "\n}"
