#!/bin/sh
# Records the plans and states of these configurations with Terraform and its AWS provider, against a sandbox:
#
#   reconcile sandbox --port 46620 &
#   test/iac/terraform/record.sh http://127.0.0.1:46620
#
# TERRAFORM: the program, terraform by default; tofu alike. The plans of OpenTofu have the same format.
set -eu
cd "$(dirname "$0")"
here=$PWD
endpoint=$1
terraform=${TERRAFORM:-terraform}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p recorded

# Prints JSON without the timestamp, which differs in each run.
show() {
  "$terraform" show -json "$@" | sed -E 's/,"timestamp":"[^"]*"//'
}

# plan CONFIGURATION RECORDING [OPTION...]
plan() {
  configuration=$1
  recording=$2
  shift 2
  "$terraform" -chdir="$configuration" plan -input=false -no-color -state="$work/$configuration.tfstate" \
    -var="endpoint=$endpoint" -out="$work/plan" "$@" >/dev/null
  (cd "$configuration" && show "$work/plan") >"recorded/$recording.json"
}

# apply CONFIGURATION [OPTION...]
apply() {
  configuration=$1
  shift
  "$terraform" -chdir="$configuration" apply -auto-approve -input=false -no-color -state="$work/$configuration.tfstate" \
    -var="endpoint=$endpoint" "$@" >/dev/null
}

init() {
  export TF_DATA_DIR="$work/$1.data"
  "$terraform" -chdir="$1" init -input=false -no-color >/dev/null
}

init same-account
plan same-account same-account-new
plan same-account same-account-new-no-kms-statement -var=kms_statements=none
apply same-account
plan same-account same-account-correct
plan same-account same-account-no-kms-statement -var=kms_statements=none
plan same-account same-account-one-sided-context -var='kms_statements=objects only'
plan same-account same-account-alias -var=replica_key=alias
(cd same-account && show "$work/same-account.tfstate") >recorded/same-account-state.json

init cross-account
cross=-var=replica_account=444455556666
plan cross-account cross-account-new "$cross"
apply cross-account "$cross"
plan cross-account cross-account-correct "$cross"
plan cross-account cross-account-no-bucket-policy "$cross" -var=bucket_policy=false
plan cross-account cross-account-no-owner-override "$cross" -var=override_permission=false
apply cross-account "$cross" -var=override_permission=false
(cd cross-account && show "$work/cross-account.tfstate") >recorded/cross-account-state.json

init for-each
plan for-each for-each-new
apply for-each
plan for-each for-each-no-kms-statement -var='pairs={tax={kms=true},ledgers={kms=false}}'
plan for-each for-each-new-pair -var='pairs={tax={kms=true},ledgers={kms=true},invoices={kms=false}}'
plan for-each for-each-foreign-keys -var=managed_keys=false

init legacy-blocks
apply legacy-blocks
plan legacy-blocks legacy-blocks-correct
plan legacy-blocks legacy-blocks-no-encrypt -var='kms_actions=["kms:Decrypt"]'
(cd legacy-blocks && show "$work/legacy-blocks.tfstate") >recorded/legacy-blocks-state.json

rm -f "$here"/*/.terraform.lock.hcl
