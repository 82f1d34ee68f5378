# A pair of buckets with its role, as a module that is called with for_each.
terraform {
  required_providers {
    aws = {
      source                = "hashicorp/aws"
      configuration_aliases = [aws.replica]
    }
  }
}

variable "name" { type = string }
variable "kms" { type = bool }
variable "source_key" { type = string }
variable "replica_keys" { type = map(string) }
variable "prefixes" { type = map(string) }

resource "aws_s3_bucket" "source" {
  bucket = var.name
}

resource "aws_s3_bucket_versioning" "source" {
  bucket = aws_s3_bucket.source.bucket
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "source" {
  bucket = aws_s3_bucket.source.bucket
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.source_key
    }
  }
}

resource "aws_s3_bucket" "replica" {
  provider = aws.replica
  for_each = var.replica_keys
  bucket   = "${var.name}-${each.key}"
}

resource "aws_s3_bucket_versioning" "replica" {
  provider = aws.replica
  for_each = var.replica_keys
  bucket   = aws_s3_bucket.replica[each.key].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_iam_role" "this" {
  name = "${var.name}-replication"
  path = "/replication/"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "this" {
  role = aws_iam_role.this.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = ["arn:aws:s3:::${var.name}", "arn:aws:s3:::${var.name}/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = [for name, _ in var.replica_keys : "arn:aws:s3:::${var.name}-${name}/*"]
      }],
      var.kms ? [{ Effect = "Allow", Action = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"], Resource = "*" }] : [],
    )
  })
}

resource "aws_s3_bucket_replication_configuration" "this" {
  bucket = aws_s3_bucket.source.id
  role   = aws_iam_role.this.arn

  dynamic "rule" {
    for_each = var.prefixes
    content {
      id       = rule.key
      priority = index(keys(var.prefixes), rule.key)
      status   = "Enabled"
      filter {
        and {
          prefix = rule.value
          tags   = { class = "records" }
        }
      }
      delete_marker_replication {
        status = "Disabled"
      }
      source_selection_criteria {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }
      destination {
        bucket = aws_s3_bucket.replica[rule.key].arn
        encryption_configuration {
          replica_kms_key_id = var.replica_keys[rule.key]
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.source]
}
