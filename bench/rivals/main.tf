# The pairs of the walkthrough with Terraform and its AWS provider. The buckets exist; Terraform only configures them.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "pairs" { type = string }

variable "endpoint" { type = string }

locals {
  pairs = { for pair in jsondecode(file(var.pairs)) : pair.name => pair }
  own   = { for name, pair in local.pairs : name => pair if !startswith(pair.sourceKey, "arn:") }
  keys = { for name, pair in local.pairs : name => {
    source  = try(aws_kms_key.source[name].arn, pair.sourceKey)
    replica = try(aws_kms_key.replica[name].arn, pair.replicaKey)
  } }
}

provider "aws" {
  region                      = "us-east-1"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    s3  = var.endpoint
    iam = var.endpoint
    kms = var.endpoint
    sts = var.endpoint
  }
}

provider "aws" {
  alias                       = "replica"
  region                      = "us-west-2"
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_requesting_account_id  = true
  skip_metadata_api_check     = true
  endpoints {
    s3  = var.endpoint
    iam = var.endpoint
    kms = var.endpoint
    sts = var.endpoint
  }
}

resource "aws_kms_key" "source" {
  for_each = local.own
}

resource "aws_kms_key" "replica" {
  provider = aws.replica
  for_each = local.own
}

resource "aws_kms_alias" "source" {
  for_each      = local.own
  name          = each.value.sourceKey
  target_key_id = aws_kms_key.source[each.key].key_id
}

resource "aws_kms_alias" "replica" {
  provider      = aws.replica
  for_each      = local.own
  name          = each.value.replicaKey
  target_key_id = aws_kms_key.replica[each.key].key_id
}

resource "aws_s3_bucket_versioning" "source" {
  for_each = local.pairs
  bucket   = each.value.source
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_versioning" "replica" {
  provider = aws.replica
  for_each = local.pairs
  bucket   = each.value.replica
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "source" {
  for_each = local.pairs
  bucket   = each.value.source
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.keys[each.key].source
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "replica" {
  provider = aws.replica
  for_each = local.pairs
  bucket   = each.value.replica
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.keys[each.key].replica
    }
  }
}

resource "aws_iam_role" "replication" {
  for_each = local.pairs
  name     = "bench-${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "replication" {
  for_each = local.pairs
  name     = "replication"
  role     = aws_iam_role.replication[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
        Resource = "arn:aws:s3:::${each.value.source}"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = "arn:aws:s3:::${each.value.source}/*"
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = "arn:aws:s3:::${each.value.replica}/*"
      },
      {
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = local.keys[each.key].source
        Condition = { StringLike = {
          "kms:ViaService"                   = "s3.us-east-1.amazonaws.com"
          "kms:EncryptionContext:aws:s3:arn" = ["arn:aws:s3:::${each.value.source}", "arn:aws:s3:::${each.value.source}/*"]
        } }
      },
      {
        Effect   = "Allow"
        Action   = ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"]
        Resource = local.keys[each.key].replica
        Condition = { StringLike = {
          "kms:ViaService"                   = "s3.us-west-2.amazonaws.com"
          "kms:EncryptionContext:aws:s3:arn" = ["arn:aws:s3:::${each.value.replica}", "arn:aws:s3:::${each.value.replica}/*"]
        } }
      },
    ]
  })
}

resource "aws_s3_bucket_replication_configuration" "pair" {
  depends_on = [aws_s3_bucket_versioning.source, aws_s3_bucket_versioning.replica]
  for_each   = local.pairs
  bucket     = each.value.source
  role       = aws_iam_role.replication[each.key].arn
  rule {
    id       = each.key
    priority = 1
    status   = "Enabled"
    filter { prefix = "Data/" }
    delete_marker_replication { status = "Disabled" }
    source_selection_criteria {
      sse_kms_encrypted_objects { status = "Enabled" }
    }
    destination {
      bucket = "arn:aws:s3:::${each.value.replica}"
      encryption_configuration { replica_kms_key_id = local.keys[each.key].replica }
    }
  }
}
