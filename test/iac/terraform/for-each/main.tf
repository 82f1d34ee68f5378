# One module call for each pair. The keys belong to another stack: they are not in the plan.
variable "pairs" {
  type = map(object({ kms = bool }))
  default = {
    tax     = { kms = true }
    ledgers = { kms = true }
  }
}
variable "managed_keys" {
  type    = bool
  default = true
}

resource "aws_kms_key" "source" {
  count = var.managed_keys ? 1 : 0
}

resource "aws_kms_key" "replica" {
  count    = var.managed_keys ? 1 : 0
  provider = aws.replica
}

locals {
  source_key  = try(aws_kms_key.source[0].arn, "arn:aws:kms:us-east-1:111122223333:key/11111111-2222-4333-8444-555555555555")
  replica_key = try(aws_kms_key.replica[0].arn, "arn:aws:kms:us-west-2:111122223333:key/66666666-7777-4888-9999-aaaaaaaaaaaa")
}

module "pair" {
  source       = "../modules/pair"
  for_each     = var.pairs
  providers    = { aws = aws, aws.replica = aws.replica }
  name         = "acme-pair-${each.key}"
  kms          = each.value.kms
  source_key   = local.source_key
  replica_keys = { eu = local.replica_key, us = local.replica_key }
  prefixes     = { eu = "EU/", us = "US/" }
}
