#!/bin/sh
# Applies plan 0123456789abcdef of replikey to AWS, account 111122223333: 13 steps, 15 calls that write.
# Made at 2026-11-30T12:00:00Z, and valid until 2026-12-01T12:00:00Z.
# Proof: acme-tax replikey/tax/tax is proven after the plan (18 requests).
#
# It needs a POSIX shell, the AWS CLI and jq. A second run changes nothing. It stops at a setting that has
# changed since the plan was made, and changes nothing there.
#
# Usage:
#   sh SCRIPT            apply the changes

set -eu
export AWS_PAGER=
# The script calls the endpoint that the plan was made for, and no other.
export AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true
unset $(env | sed -n "s/^\(AWS_ENDPOINT_URL[A-Z0-9_]*\)=.*/\1/p") AWS_ENDPOINT_URL
umask 077
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
id=start changed=0 unchanged=0

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

phase=apply
[ $# -eq 0 ] || phase=$1
case $phase in
  apply) ;;
  narrow) printf 'the plan replaces no permissions: nothing to narrow\n'; exit ;;
  *) printf 'unknown phase %s: use apply\n' "$phase" >&2; exit 2 ;;
esac
now=$(date -u +%Y%m%d%H%M%S)
if [ "$phase" = apply ] && [ "$now" -gt 20261201120000 ]; then
  fail 'the script was valid until 2026-12-01T12:00:00Z; plan again'
fi

put_bucket_encryption() {
  change s3api put-bucket-encryption 'get-bucket-encryption' '{Bucket, ExpectedBucketOwner}' '.ServerSideEncryptionConfiguration.Rules[0]' '.ServerSideEncryptionConfiguration.Rules[0]' 'equal' 'ServerSideEncryptionConfigurationNotFoundError' '($actual // {}) + .'
}
put_bucket_replication() {
  change s3api put-bucket-replication 'get-bucket-replication' '{Bucket, ExpectedBucketOwner}' '.ReplicationConfiguration' '.ReplicationConfiguration' 'equal' 'ReplicationConfigurationNotFoundError' ''
}
put_bucket_versioning() {
  change s3api put-bucket-versioning 'get-bucket-versioning' '{Bucket, ExpectedBucketOwner}' '.VersioningConfiguration.Status' '.Status' 'equal' '' ''
}
put_key_policy() {
  change kms put-key-policy 'get-key-policy' '{KeyId, PolicyName}' '.Policy' '.Policy' 'equal' '' '. as $new | $actual // error("the key has no policy") | .Statement = ([.Statement] | flatten | map(select(.Sid as $sid | all($new.Statement[]; .Sid != $sid)))) + $new.Statement'
}
put_role_policy() {
  change iam put-role-policy 'get-role-policy' '{RoleName, PolicyName}' '.PolicyDocument' '.PolicyDocument' 'equal' 'NoSuchEntity' ''
}


# aws_in ACCOUNT WORD...: calls the AWS CLI with the credentials of an account.
aws_in() {
  target=$1
  shift
  case $target in
    111122223333) aws "$@" ;;
  esac
}
for account in 111122223333; do
  actual=$(aws_in "$account" sts get-caller-identity --region us-east-1 --query Account --output text)
  [ "$actual" = "$account" ] || fail "the credentials belong to account $actual, not to $account"
done

apply_changes() {

# create iam.role/replikey-acme-tax
#   does not exist yet
#   S3 must be allowed to assume the role
step 'iam.role/replikey-acme-tax' 111122223333 us-east-1
retry_on='\(NoSuchEntity(Exception)?\)|\(DeleteConflict(Exception)?\)'
input <<'END'
{
  "RoleName": "replikey-acme-tax",
  "AssumeRolePolicyDocument": {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "ReplikeyAssumeRole",
        "Action": [
          "sts:AssumeRole"
        ],
        "Effect": "Allow",
        "Principal": {
          "Service": [
            "s3.amazonaws.com"
          ]
        }
      }
    ]
  },
  "Description": "S3 assumes this role to replicate objects; created by replikey",
  "Tags": [
    {
      "Key": "replikey:managed-by",
      "Value": "replikey"
    },
    {
      "Key": "replikey:spec",
      "Value": "tax"
    }
  ]
}
END
create_role

# create kms.key/alias/acme-tax-replica@us-west-2
#   does not exist yet
step 'kms.key/alias/acme-tax-replica@us-west-2' 111122223333 us-west-2
retry_on='\(NotFound(Exception)?\)|\(KMSInvalidState(Exception)?\).*creating'
input <<'END'
{
  "Description": "alias/acme-tax-replica: S3 replication, created by replikey",
  "KeyUsage": "ENCRYPT_DECRYPT",
  "KeySpec": "SYMMETRIC_DEFAULT",
  "Tags": [
    {
      "TagKey": "replikey:managed-by",
      "TagValue": "replikey"
    },
    {
      "TagKey": "replikey:spec",
      "TagValue": "tax"
    },
    {
      "TagKey": "replikey:alias",
      "TagValue": "alias/acme-tax-replica"
    }
  ]
}
END
create_key key_1 'alias/acme-tax-replica'
input <<END
{
  "AliasName": "alias/acme-tax-replica",
  "TargetKeyId": "$key_1"
}
END
create_alias

# create kms.key/alias/acme-tax@us-east-1
#   does not exist yet
step 'kms.key/alias/acme-tax@us-east-1' 111122223333 us-east-1
retry_on='\(NotFound(Exception)?\)|\(KMSInvalidState(Exception)?\).*creating'
input <<'END'
{
  "Description": "alias/acme-tax: S3 replication, created by replikey",
  "KeyUsage": "ENCRYPT_DECRYPT",
  "KeySpec": "SYMMETRIC_DEFAULT",
  "Tags": [
    {
      "TagKey": "replikey:managed-by",
      "TagValue": "replikey"
    },
    {
      "TagKey": "replikey:spec",
      "TagValue": "tax"
    },
    {
      "TagKey": "replikey:alias",
      "TagValue": "alias/acme-tax"
    }
  ]
}
END
create_key key_2 'alias/acme-tax'
input <<END
{
  "AliasName": "alias/acme-tax",
  "TargetKeyId": "$key_2"
}
END
create_alias

# create s3.bucket/acme-tax
#   does not exist yet
step 's3.bucket/acme-tax' 111122223333 us-east-1
retry_on='\(OperationAborted(Exception)?\)'
input <<'END'
{
  "Bucket": "acme-tax",
  "CreateBucketConfiguration": {
    "Tags": [
      {
        "Key": "replikey:managed-by",
        "Value": "replikey"
      },
      {
        "Key": "replikey:spec",
        "Value": "tax"
      }
    ]
  }
}
END
create_bucket

# create s3.bucket/acme-tax-replica
#   does not exist yet
step 's3.bucket/acme-tax-replica' 111122223333 us-west-2
retry_on='\(OperationAborted(Exception)?\)'
input <<'END'
{
  "Bucket": "acme-tax-replica",
  "CreateBucketConfiguration": {
    "LocationConstraint": "us-west-2",
    "Tags": [
      {
        "Key": "replikey:managed-by",
        "Value": "replikey"
      },
      {
        "Key": "replikey:spec",
        "Value": "tax"
      }
    ]
  }
}
END
create_bucket

# create iam.role-policy/replikey-acme-tax
#   does not exist yet
#   S3 needs these permissions as the role
step 'iam.role-policy/replikey-acme-tax' 111122223333 us-east-1
retry_on='\(NoSuchEntity(Exception)?\)'
input <<END
{
  "RoleName": "replikey-acme-tax",
  "PolicyName": "replikey",
  "PolicyDocument": {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "ReplikeyDestinationKeyTax",
        "Action": [
          "kms:Decrypt",
          "kms:Encrypt",
          "kms:GenerateDataKey"
        ],
        "Condition": {
          "StringEquals": {
            "kms:ViaService": [
              "s3.us-west-2.amazonaws.com"
            ]
          },
          "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
              "arn:aws:s3:::acme-tax-replica",
              "arn:aws:s3:::acme-tax-replica/Tax/*"
            ]
          }
        },
        "Effect": "Allow",
        "Resource": [
          "$key_1"
        ]
      },
      {
        "Sid": "ReplikeyDestinationObjectsTax",
        "Action": [
          "s3:ReplicateObject",
          "s3:ReplicateTags"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:s3:::acme-tax-replica/Tax/*"
        ]
      },
      {
        "Sid": "ReplikeySourceBucketTax",
        "Action": [
          "s3:GetReplicationConfiguration",
          "s3:ListBucket"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:s3:::acme-tax"
        ]
      },
      {
        "Sid": "ReplikeySourceKeyTax",
        "Action": [
          "kms:Decrypt"
        ],
        "Condition": {
          "StringEquals": {
            "kms:ViaService": [
              "s3.us-east-1.amazonaws.com"
            ]
          },
          "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
              "arn:aws:s3:::acme-tax",
              "arn:aws:s3:::acme-tax/Tax/*"
            ]
          }
        },
        "Effect": "Allow",
        "Resource": [
          "$key_2"
        ]
      },
      {
        "Sid": "ReplikeySourceObjectsTax",
        "Action": [
          "s3:GetObjectLegalHold",
          "s3:GetObjectRetention",
          "s3:GetObjectVersionAcl",
          "s3:GetObjectVersionAnnotationForReplication",
          "s3:GetObjectVersionForReplication",
          "s3:GetObjectVersionTagging"
        ],
        "Effect": "Allow",
        "Resource": [
          "arn:aws:s3:::acme-tax/Tax/*"
        ]
      }
    ]
  }
}
END
before <<'END'
null
END
put_role_policy

# create kms.key-policy/alias/acme-tax-replica@us-west-2
#   does not exist yet
step 'kms.key-policy/alias/acme-tax-replica@us-west-2' 111122223333 us-west-2
retry_on='\(MalformedPolicyDocument(Exception)?\).*principal|\(NotFound(Exception)?\)'
input <<END
{
  "KeyId": "$key_1",
  "PolicyName": "default",
  "Policy": {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "ReplikeyDestinationKeyTax",
        "Action": [
          "kms:Decrypt",
          "kms:Encrypt",
          "kms:GenerateDataKey"
        ],
        "Condition": {
          "StringEquals": {
            "kms:ViaService": [
              "s3.us-west-2.amazonaws.com"
            ]
          },
          "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
              "arn:aws:s3:::acme-tax-replica",
              "arn:aws:s3:::acme-tax-replica/Tax/*"
            ]
          }
        },
        "Effect": "Allow",
        "Principal": {
          "AWS": [
            "arn:aws:iam::111122223333:role/replikey-acme-tax"
          ]
        },
        "Resource": [
          "*"
        ]
      }
    ]
  }
}
END
put_key_policy

# create kms.key-policy/alias/acme-tax@us-east-1
#   does not exist yet
step 'kms.key-policy/alias/acme-tax@us-east-1' 111122223333 us-east-1
retry_on='\(MalformedPolicyDocument(Exception)?\).*principal|\(NotFound(Exception)?\)'
input <<END
{
  "KeyId": "$key_2",
  "PolicyName": "default",
  "Policy": {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Sid": "ReplikeySourceKeyTax",
        "Action": [
          "kms:Decrypt"
        ],
        "Condition": {
          "StringEquals": {
            "kms:ViaService": [
              "s3.us-east-1.amazonaws.com"
            ]
          },
          "StringLike": {
            "kms:EncryptionContext:aws:s3:arn": [
              "arn:aws:s3:::acme-tax",
              "arn:aws:s3:::acme-tax/Tax/*"
            ]
          }
        },
        "Effect": "Allow",
        "Principal": {
          "AWS": [
            "arn:aws:iam::111122223333:role/replikey-acme-tax"
          ]
        },
        "Resource": [
          "*"
        ]
      }
    ]
  }
}
END
put_key_policy

# create s3.encryption/acme-tax
#   does not exist yet
#   S3 encrypts new objects under the declared key by default
step 's3.encryption/acme-tax' 111122223333 us-east-1
retry_on='\(NoSuchBucket(Exception)?\)|\(OperationAborted(Exception)?\)'
input <<END
{
  "Bucket": "acme-tax",
  "ExpectedBucketOwner": "111122223333",
  "ServerSideEncryptionConfiguration": {
    "Rules": [
      {
        "ApplyServerSideEncryptionByDefault": {
          "SSEAlgorithm": "aws:kms",
          "KMSMasterKeyID": "$key_2"
        },
        "BucketKeyEnabled": true
      }
    ]
  }
}
END
put_bucket_encryption

# create s3.encryption/acme-tax-replica
#   does not exist yet
#   S3 encrypts new objects under the declared key by default
step 's3.encryption/acme-tax-replica' 111122223333 us-west-2
retry_on='\(NoSuchBucket(Exception)?\)|\(OperationAborted(Exception)?\)'
input <<END
{
  "Bucket": "acme-tax-replica",
  "ExpectedBucketOwner": "111122223333",
  "ServerSideEncryptionConfiguration": {
    "Rules": [
      {
        "ApplyServerSideEncryptionByDefault": {
          "SSEAlgorithm": "aws:kms",
          "KMSMasterKeyID": "$key_1"
        },
        "BucketKeyEnabled": true
      }
    ]
  }
}
END
put_bucket_encryption

# create s3.versioning/acme-tax
#   does not exist yet
#   replication needs versioning on both buckets
step 's3.versioning/acme-tax' 111122223333 us-east-1
retry_on='\(NoSuchBucket(Exception)?\)|\(OperationAborted(Exception)?\)'
input <<'END'
{
  "Bucket": "acme-tax",
  "ExpectedBucketOwner": "111122223333",
  "VersioningConfiguration": {
    "Status": "Enabled"
  }
}
END
before <<'END'
null
END
put_bucket_versioning

# create s3.versioning/acme-tax-replica
#   does not exist yet
#   replication needs versioning on both buckets
step 's3.versioning/acme-tax-replica' 111122223333 us-west-2
retry_on='\(NoSuchBucket(Exception)?\)|\(OperationAborted(Exception)?\)'
input <<'END'
{
  "Bucket": "acme-tax-replica",
  "ExpectedBucketOwner": "111122223333",
  "VersioningConfiguration": {
    "Status": "Enabled"
  }
}
END
before <<'END'
null
END
put_bucket_versioning

# create s3.replication/acme-tax
#   does not exist yet
#   enabled last, because S3 never retries a failed object
step 's3.replication/acme-tax' 111122223333 us-east-1
retry_on='\(NoSuchBucket(Exception)?\)|\(OperationAborted(Exception)?\)|\(InvalidRequest(Exception)?\).*[Vv]ersioning|\(InvalidRequest(Exception)?\).*Destination bucket must exist|\(InvalidArgument(Exception)?\).*[Rr]ole'
input <<END
{
  "Bucket": "acme-tax",
  "ExpectedBucketOwner": "111122223333",
  "ReplicationConfiguration": {
    "Role": "arn:aws:iam::111122223333:role/replikey-acme-tax",
    "Rules": [
      {
        "ID": "replikey/tax/tax",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {
          "Prefix": "Tax/"
        },
        "DeleteMarkerReplication": {
          "Status": "Disabled"
        },
        "SourceSelectionCriteria": {
          "SseKmsEncryptedObjects": {
            "Status": "Enabled"
          }
        },
        "Destination": {
          "Bucket": "arn:aws:s3:::acme-tax-replica",
          "EncryptionConfiguration": {
            "ReplicaKmsKeyID": "$key_1"
          },
          "Metrics": {
            "Status": "Enabled"
          }
        }
      }
    ]
  }
}
END
before <<'END'
null
END
put_bucket_replication
}

case $phase in
  apply) apply_changes ;;
esac
printf '%s changed, %s unchanged\n' "$changed" "$unchanged"
