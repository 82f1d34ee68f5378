/**
 * The functions of a script, for a POSIX shell with the AWS CLI and jq. Each change reads the setting first: if it is as
 * desired, nothing is written; if it is neither as desired nor as it was when the script was made, the script stops. After
 * a write it reads until AWS shows the result.
 */
export const SHELL_FUNCTIONS = String.raw`
fail() {
  printf 'stopped at %s: %s\n' "$id" "$1" >&2
  exit 1
}

# step ID ACCOUNT REGION: begins the change of a resource.
step() {
  id=$1 account=$2 region=$3 retry_on= wait=
  rm -f "$dir/before" "$dir/later"
}

# The input of the next call, the setting before it, and the setting that phase narrow leaves.
input() { cat > "$dir/input"; }
before() { cat > "$dir/before"; }
later() { cat > "$dir/later"; }

report() {
  printf '%-9s %s (%s)\n' "$1" "$id" "$2"
  if [ "$1" = changed ]; then changed=$((changed + 1)); else unchanged=$((unchanged + 1)); fi
}

# call OPERATION...: calls the AWS CLI for the account and Region of the step.
call() { aws_in "$account" "$@" --region "$region" --output json; }

# repeat OPERATION...: calls until the error is not one that ends when AWS sees an earlier change.
repeat() {
  tries=0
  until call "$@" > "$dir/response" 2> "$dir/error"; do
    if [ -n "$absent" ] && grep -Eq "\(($absent)\)" "$dir/error"; then return 1; fi
    tries=$((tries + 1))
    if [ -z "$retry_on" ] || [ "$tries" -gt 20 ] || ! grep -Eiq "$retry_on" "$dir/error"; then
      fail "$1 $2 failed: $(cat "$dir/error")"
    fi
    sleep 3
  done
}

# write OPERATION...: sends the input.
write() {
  if [ -n "$wait" ]; then
    # AWS returns changed permissions before S3 uses them, and S3 tries each object once.
    printf 'waiting %s s for S3 to use changed permissions\n' "$wait"
    sleep "$wait"
  fi
  jq "$program"'with_policies_as_text' "$dir/input" > "$dir/request"
  absent=
  repeat "$@" --cli-input-json "file://$dir/request"
}

# read_setting SERVICE READ KEY ACTUAL ABSENT: writes the setting into the file "actual"; null if there is none.
read_setting() {
  jq -c "$3" "$dir/input" > "$dir/key"
  absent=$5
  if ! repeat "$1" "$2" --cli-input-json "file://$dir/key"; then
    echo null > "$dir/actual"
    return
  fi
  # The AWS CLI prints nothing for an empty response.
  [ -s "$dir/response" ] || echo '{}' > "$dir/response"
  jq "$program $4 | document" "$dir/response" > "$dir/actual"
}

# is_as FILE COMPARISON: whether the actual setting compares so to the one in a file.
is_as() {
  jq -en --slurpfile actual "$dir/actual" --slurpfile desired "$1" \
    "$program"'$desired[0] as $part | $actual[0] | '"$2"'($part)' > /dev/null
}

# change SERVICE WRITE READ KEY DESIRED ACTUAL COMPARISON ABSENT ADDITION
change() {
  read_setting "$1" "$3" "$4" "$6" "$8"
  if [ -n "$9" ] && [ ! -f "$dir/before" ]; then
    jq --slurpfile actual "$dir/actual" "$program"'$actual[0] as $actual | '"$5 |= (document | $9)" "$dir/input" > "$dir/merged"
    mv "$dir/merged" "$dir/input"
  fi
  jq "$program $5 | document" "$dir/input" > "$dir/desired"
  if is_as "$dir/desired" "$7" || { [ -f "$dir/later" ] && is_as "$dir/later" equal; }; then
    report unchanged "$2"
    return
  fi
  if [ "$7" = matches ]; then comparison=matches; else comparison=equal; fi
  if [ -f "$dir/before" ] && ! is_as "$dir/before" "$comparison"; then
    fail "the setting that $3 returns has changed since the plan was made; plan again"
  fi
  write "$1" "$2"
  tries=0
  until read_setting "$1" "$3" "$4" "$6" "$8" && is_as "$dir/desired" "$7"; do
    tries=$((tries + 1))
    [ "$tries" -le 20 ] || fail "AWS accepted $2, but $3 does not return the written setting"
    sleep 3
  done
  report changed "$2"
}

# key_of_alias ALIAS: prints the ARN of the key that an alias names, or nothing.
key_of_alias() {
  if call kms describe-key --key-id "$1" > "$dir/response" 2> "$dir/error"; then
    jq -r .KeyMetadata.Arn "$dir/response"
  else
    grep -q '(NotFoundException)' "$dir/error" || fail "kms describe-key failed: $(cat "$dir/error")"
  fi
}

# unnamed_key ALIAS: prints the ARN of a key without an alias that an interrupted run created for this one, or nothing.
unnamed_key() {
  call kms list-aliases > "$dir/aliases" || fail 'kms list-aliases failed'
  call kms list-keys > "$dir/keys" || fail 'kms list-keys failed'
  # The exit code of a pipeline is that of the loop.
  jq -r --slurpfile aliases "$dir/aliases" \
    '([$aliases[0].Aliases[].TargetKeyId]) as $named | .Keys[] | select(.KeyId as $id | $named | index($id) | not) | .KeyArn' "$dir/keys" |
    while read -r arn; do
      if ! call kms list-resource-tags --key-id "$arn" > "$dir/tags" 2> "$dir/error"; then
        # A key whose policy denies access, or that is deleted by now, is not one that an earlier run created.
        grep -Eq '\((NotFound|AccessDenied)(Exception)?\)' "$dir/error" || fail "kms list-resource-tags failed: $(cat "$dir/error")"
        continue
      fi
      jq -e --arg alias "$1" 'any(.Tags[]; .TagKey == "replikey:alias" and .TagValue == $alias)' "$dir/tags" > /dev/null || continue
      call kms describe-key --key-id "$arn" > "$dir/response" || fail 'kms describe-key failed'
      jq -e '.KeyMetadata | .KeyState == "Enabled" and (.MultiRegion | not)' "$dir/response" > /dev/null || continue
      printf '%s\n' "$arn"
      break
    done
}

# create_key VARIABLE ALIAS: creates a key once, and puts its ARN into a variable.
create_key() {
  arn=$(key_of_alias "$2")
  [ -n "$arn" ] || arn=$(unnamed_key "$2")
  if [ -n "$arn" ]; then
    report unchanged create-key
  else
    write kms create-key
    arn=$(jq -r .KeyMetadata.Arn "$dir/response")
    report changed create-key
  fi
  eval "$1=\$arn"
}

create_alias() {
  alias=$(jq -r .AliasName "$dir/input") target=$(jq -r .TargetKeyId "$dir/input")
  arn=$(key_of_alias "$alias")
  if [ "$arn" = "$target" ]; then
    report unchanged create-alias
  elif [ -n "$arn" ]; then
    fail "$alias names another key, $arn; plan again"
  else
    write kms create-alias
    report changed create-alias
  fi
}

create_bucket() {
  bucket=$(jq -r .Bucket "$dir/input")
  if call s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" > "$dir/response" 2> "$dir/error"; then
    # The AWS CLI follows S3 to another Region.
    [ ! -s "$dir/response" ] || actual=$(jq -r .BucketRegion "$dir/response")
    [ ! -s "$dir/response" ] || [ "$actual" = "$region" ] || fail "the bucket is in $actual; plan again"
    report unchanged create-bucket
  elif grep -q '(404)' "$dir/error"; then
    write s3api create-bucket
    report changed create-bucket
  else
    fail "s3api head-bucket failed: $(cat "$dir/error")"
  fi
}

create_role() {
  read_setting iam get-role '{RoleName}' .Role.AssumeRolePolicyDocument NoSuchEntity
  jq "$program .AssumeRolePolicyDocument | document" "$dir/input" > "$dir/desired"
  if is_as "$dir/desired" equal; then
    report unchanged create-role
  elif [ "$(cat "$dir/actual")" != null ]; then
    fail 'the role exists since the plan was made, with another trust policy; plan again'
  else
    write iam create-role
    report changed create-role
  fi
}

# AWS returns the elements of a set in any order, and a set of one as its element.
program='
def norm:
  if type == "object" then with_entries(select(.value != null) | .value |= norm)
  elif type == "array" then map(norm) | sort | if length == 1 then .[0] else . end
  else . end;
def equal($other): norm == ($other | norm);
def contains($part):
  . as $whole
  | if ($part | type) == "object" then type == "object" and all($part | to_entries[]; .value == null or (.value as $value | .key as $key | $whole[$key] | contains($value)))
    elif ($part | type) == "array" then type == "array" and all($part[]; . as $item | any($whole[]; contains($item)))
    else . == $part end;
def matches($part):
  . as $whole
  | if ($part | type) == "object" then type == "object" and all($part | to_entries[]; .value == null or (.value as $value | .key as $key | $whole[$key] | matches($value)))
    elif ($part | type) == "array" then ($part == [] and . == null) or (type == "array" and length == ($part | length) and all($part[]; . as $item | any($whole[]; matches($item))))
    else . == $part end;
def lacks($names): all(.[]; . as $name | $names | index($name) | not);
def with_policies_as_text:
  if type == "object" then with_entries(
    if (.key | IN("Policy", "PolicyDocument", "AssumeRolePolicyDocument", "AttributeValue")) and (.value | type) == "object"
    then .value |= tojson else .value |= with_policies_as_text end)
  else . end;
def document: if type == "string" and startswith("{") then fromjson else . end;
'
`.slice(1);
