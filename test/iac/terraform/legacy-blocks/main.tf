# The blocks inside aws_s3_bucket and aws_iam_role that newer releases of the provider replaced by resources.
variable "kms_actions" {
  type    = list(string)
  default = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
}

resource "aws_kms_key" "source" {}

resource "aws_kms_key" "replica" {
  provider = aws.replica
}

resource "aws_s3_bucket" "replica" {
  provider = aws.replica
  bucket   = "acme-archive-replica"
  versioning {
    enabled = true
  }
}

resource "aws_s3_bucket" "source" {
  bucket = "acme-archive"
  versioning {
    enabled = true
  }
  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm     = "aws:kms"
        kms_master_key_id = aws_kms_key.source.arn
      }
    }
  }
  replication_configuration {
    role = aws_iam_role.replication.arn
    rules {
      id     = "archive"
      prefix = "Archive/"
      status = "Enabled"
      source_selection_criteria {
        sse_kms_encrypted_objects {
          enabled = true
        }
      }
      destination {
        bucket             = aws_s3_bucket.replica.arn
        replica_kms_key_id = aws_kms_key.replica.arn
        storage_class      = "STANDARD_IA"
      }
    }
  }
}

resource "aws_iam_role" "replication" {
  name = "acme-archive-replication"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "s3.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
  permissions_boundary = aws_iam_policy.boundary.arn
  managed_policy_arns  = [aws_iam_policy.objects.arn]
  inline_policy {
    name = "keys"
    policy = jsonencode({
      Version   = "2012-10-17"
      Statement = [{ Effect = "Allow", Action = var.kms_actions, Resource = "*" }]
    })
  }
}

resource "aws_iam_policy" "boundary" {
  name = "acme-boundary"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["s3:*", "kms:*"], Resource = "*" }]
  })
}

resource "aws_iam_policy" "objects" {
  name = "acme-archive-objects"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetReplicationConfiguration", "s3:ListBucket", "s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
        Resource = ["arn:aws:s3:::acme-archive", "arn:aws:s3:::acme-archive/*"]
      },
      {
        Effect   = "Allow"
        Action   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
        Resource = "arn:aws:s3:::acme-archive-replica/*"
      },
    ]
  })
}
