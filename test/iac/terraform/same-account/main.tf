# Two buckets of one account, with keys of the stack, and a customer managed policy attached to the role.
variable "kms_statements" {
  type    = string
  default = "both contexts"
}
variable "replica_key" {
  type    = string
  default = "arn"
}

resource "aws_kms_key" "source" {
  description = "objects of acme-tax"
}

resource "aws_kms_key" "replica" {
  provider    = aws.replica
  description = "replicas of acme-tax"
}

resource "aws_kms_alias" "replica" {
  provider      = aws.replica
  name          = "alias/acme-tax-replica"
  target_key_id = aws_kms_key.replica.key_id
}

module "replica_bucket" {
  source      = "../modules/bucket"
  providers   = { aws = aws.replica }
  bucket      = "acme-tax-replica"
  kms_key_arn = aws_kms_key.replica.arn
}

module "source_bucket" {
  source      = "../modules/bucket"
  bucket      = "acme-tax"
  kms_key_arn = aws_kms_key.source.arn

  replication_configuration = {
    role = aws_iam_role.replication.arn
    rules = [{
      id       = "tax"
      priority = 10
      prefix   = "Tax/"
      destination = {
        bucket             = module.replica_bucket.arn
        replica_kms_key_id = var.replica_key == "arn" ? aws_kms_key.replica.arn : aws_kms_alias.replica.arn
      }
    }]
  }
}

resource "aws_iam_role" "replication" {
  name               = "acme-tax-replication"
  assume_role_policy = data.aws_iam_policy_document.trust.json
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "replication" {
  statement {
    actions   = ["s3:GetReplicationConfiguration", "s3:ListBucket"]
    resources = [module.source_bucket.arn]
  }
  statement {
    actions   = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"]
    resources = ["${module.source_bucket.arn}/*"]
  }
  statement {
    actions   = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"]
    resources = ["${module.replica_bucket.arn}/*"]
  }

  dynamic "statement" {
    for_each = var.kms_statements == "none" ? [] : [true]
    content {
      actions   = ["kms:Decrypt"]
      resources = [aws_kms_key.source.arn]
      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.us-east-1.amazonaws.com"]
      }
      condition {
        test     = "StringLike"
        variable = "kms:EncryptionContext:aws:s3:arn"
        values   = ["arn:aws:s3:::acme-tax", "arn:aws:s3:::acme-tax/*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.kms_statements == "none" ? [] : [true]
    content {
      actions   = ["kms:Encrypt", "kms:GenerateDataKey", "kms:Decrypt"]
      resources = [aws_kms_key.replica.arn]
      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.us-west-2.amazonaws.com"]
      }
      condition {
        test     = "StringLike"
        variable = "kms:EncryptionContext:aws:s3:arn"
        # With a Bucket Key, the context is the ARN of the bucket, not that of the object.
        values = concat(
          ["arn:aws:s3:::acme-tax-replica/*"],
          var.kms_statements == "both contexts" ? ["arn:aws:s3:::acme-tax-replica"] : [],
        )
      }
    }
  }
}

resource "aws_iam_policy" "replication" {
  name   = "acme-tax-replication"
  policy = data.aws_iam_policy_document.replication.json
}

resource "aws_iam_role_policy_attachment" "replication" {
  role       = aws_iam_role.replication.name
  policy_arn = aws_iam_policy.replication.arn
}
