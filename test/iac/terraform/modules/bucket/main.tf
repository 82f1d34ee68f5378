# A bucket as widely used modules build it: `count` on every resource, settings as variables, rules as dynamic blocks.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

variable "create" {
  type    = bool
  default = true
}
variable "bucket" { type = string }
variable "kms_key_arn" {
  type    = string
  default = null
}
variable "policy" {
  type    = string
  default = null
}
variable "attach_policy" {
  type    = bool
  default = false
}
variable "replication_configuration" {
  type    = any
  default = {}
}

resource "aws_s3_bucket" "this" {
  count  = var.create ? 1 : 0
  bucket = var.bucket
}

resource "aws_s3_bucket_versioning" "this" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  count  = var.create ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  count                   = var.create ? 1 : 0
  bucket                  = aws_s3_bucket.this[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "this" {
  count  = var.create && var.attach_policy ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  policy = var.policy
}

resource "aws_s3_bucket_replication_configuration" "this" {
  count  = var.create && length(keys(var.replication_configuration)) > 0 ? 1 : 0
  bucket = aws_s3_bucket.this[0].id
  role   = var.replication_configuration["role"]

  dynamic "rule" {
    for_each = var.replication_configuration["rules"]
    content {
      id       = rule.value.id
      priority = try(rule.value.priority, null)
      status   = "Enabled"

      filter {
        prefix = try(rule.value.prefix, null)
      }
      delete_marker_replication {
        status = "Enabled"
      }
      source_selection_criteria {
        sse_kms_encrypted_objects {
          status = "Enabled"
        }
      }
      destination {
        bucket  = rule.value.destination.bucket
        account = try(rule.value.destination.account, null)

        encryption_configuration {
          replica_kms_key_id = rule.value.destination.replica_kms_key_id
        }
        dynamic "access_control_translation" {
          for_each = try(rule.value.destination.owner_override, false) ? [true] : []
          content {
            owner = "Destination"
          }
        }
        metrics {
          status = "Enabled"
        }
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}

output "id" {
  value = try(aws_s3_bucket.this[0].id, "")
}
output "arn" {
  value = try(aws_s3_bucket.this[0].arn, "")
}
